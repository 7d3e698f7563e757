//! `{% generation %}`: the tag by which transformers marks what the assistant wrote.
//!
//! minijinja has no such tag. Each pair becomes `{% with %}`: a block too, so whitespace control
//! and the scope of variables stay exactly what they were.

/// `source` with its generation tags replaced by ones that minijinja knows.
pub(super) fn accept_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (text, block) = rest.split_at(at);
        out.push_str(text);
        match Tag::parse(block) {
            Some(tag) => {
                let Tag {
                    open,
                    end,
                    close,
                    length,
                } = tag;
                out.push_str(&format!("{{%{open} {end}with {close}%}}"));
                rest = &block[length..];
            }
            None => {
                out.push_str("{%");
                rest = &block[2..];
            }
        }
    }
    out + rest
}

/// One generation tag: its whitespace controls, `end` or nothing, and its length in bytes.
struct Tag<'a> {
    open: &'a str,
    end: &'a str,
    close: &'a str,
    length: usize,
}

impl<'a> Tag<'a> {
    /// Reads the tag `block` begins with, if that is a generation tag.
    fn parse(block: &'a str) -> Option<Self> {
        let (open, rest) = control(block.strip_prefix("{%")?);
        let rest = rest.trim_start();
        let (end, rest) = rest
            .strip_prefix("end")
            .map_or(("", rest), |rest| ("end", rest));
        let (close, rest) = control(rest.strip_prefix("generation")?.trim_start());
        let rest = rest.strip_prefix("%}")?;
        Some(Self {
            open,
            end,
            close,
            length: block.len() - rest.len(),
        })
    }
}

/// Splits off a whitespace control (`-` or `+`).
fn control(text: &str) -> (&str, &str) {
    let length = usize::from(text.starts_with(['-', '+']));
    text.split_at(length)
}
