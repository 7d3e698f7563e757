//! Addresses: which server it is, and where a redirect goes.

use ureq::http::Uri;
use ureq::http::uri::Scheme;

/// A server: two addresses of one origin are answered by the same program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// The server of an address.
    ///
    /// # Errors
    /// When it is none that can be asked.
    pub fn of(url: &str) -> Result<Self, String> {
        let wrong = || format!("not an address: {url}");
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let usual = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => 80,
            Some(scheme) if *scheme == Scheme::HTTPS => 443,
            _ => return Err(wrong()),
        };
        Ok(Self {
            scheme: uri.scheme_str().unwrap_or_default().to_lowercase(),
            host: uri.host().ok_or_else(wrong)?.to_lowercase(),
            port: uri.port_u16().unwrap_or(usual),
        })
    }

    fn is_secret(&self) -> bool {
        self.scheme == "https"
    }
}

/// The address that `location` means in an answer from `url`.
///
/// # Errors
/// When it is no address, or others could read along where they could not before.
pub fn redirected(url: &str, location: &str) -> Result<String, String> {
    let from = Origin::of(url)?;
    let next = joined(url, location);
    let to = Origin::of(&next)?;
    match from.is_secret() && !to.is_secret() {
        true => Err(format!("redirected from https to {next}")),
        false => Ok(next),
    }
}

fn joined(url: &str, location: &str) -> String {
    // Parameters have slashes of their own.
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let (scheme, rest) = path.split_once("://").unwrap_or(("", path));
    let host = rest.split('/').next().unwrap_or(rest);
    match location {
        absolute if has_scheme(absolute) => absolute.into(),
        host if host.starts_with("//") => format!("{scheme}:{host}"),
        path if path.starts_with('/') => format!("{scheme}://{host}{path}"),
        parameters if parameters.starts_with('?') => format!("{path}{parameters}"),
        name => match rest.rsplit_once('/') {
            Some((folder, _)) => format!("{scheme}://{folder}/{name}"),
            None => format!("{scheme}://{rest}/{name}"),
        },
    }
}

fn has_scheme(location: &str) -> bool {
    let scheme = location.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.chars().all(|c| c.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_where_the_standard_says() {
        let from = "https://hub.co/a/b?c=/d";
        let cases = [
            ("http://x.y:1/z", Err(())),
            ("https://x.y:1/z", Ok("https://x.y:1/z")),
            ("//x.y/z", Ok("https://x.y/z")),
            ("/e/f", Ok("https://hub.co/e/f")),
            ("e?u=http://v", Ok("https://hub.co/a/e?u=http://v")),
            ("/e?u=http://v", Ok("https://hub.co/e?u=http://v")),
            ("?g=1", Ok("https://hub.co/a/b?g=1")),
            ("ftp://x.y/z", Err(())),
            ("https://", Err(())),
        ];
        for (location, expected) in cases {
            let got = redirected(from, location).map_err(|_| ());
            assert_eq!(
                got.as_deref(),
                expected.as_ref().copied().map_err(|()| &()),
                "{location}"
            );
        }
        assert_eq!(
            redirected("https://hub.co", "e").as_deref(),
            Ok("https://hub.co/e")
        );
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let origin = |url| Origin::of(url).unwrap();
        assert_eq!(origin("https://hub.co/a"), origin("https://HUB.co:443/b?c"));
        for other in [
            "http://hub.co",
            "https://hub.co:444",
            "https://hub.com",
            "https://a.hub.co",
        ] {
            assert_ne!(origin("https://hub.co"), origin(other), "{other}");
        }
    }
}
