//! Answers that are none, and redirects.

use super::*;

#[test]
fn answers_that_are_none() {
    fails(
        |_, weights| Some(reply(206, &[], weights)),
        &["which nobody asked for"],
    );
    fails(
        |_, weights| Some(reply(200, &[("Content-Encoding", "gzip")], weights)),
        &["another encoding"],
    );
    fails(
        |_, _| Some(vec![Piece::Bytes(b"garbage\r\n\r\n".to_vec())]),
        &["cannot be downloaded"],
    );
    fails(|_, _| Some(vec![]), &["cannot be downloaded"]);
    fails(
        |_, _| {
            Some(vec![Piece::Bytes(
                [b"HTTP/1.1 200 X\r\nA: ".to_vec(), vec![b'x'; 1 << 20]].concat(),
            )])
        },
        &["cannot be downloaded"],
    );
    fails(
        |_, _| Some(reply(503, &[], b"")),
        &["503", "attempt 2 of 3"],
    );
    fails(|_, _| Some(reply(302, &[], b"")), &["302"]);
    fails(|_, _| Some(reply(204, &[], b"")), &["204"]);
    fails(
        |_, _| Some(reply(200, &[], b"<html>log in</html>")),
        &["not a safetensors file"],
    );
    fails(
        |_, weights| Some(reply(200, &[("X-Linked-Size", "5")], weights)),
        &["two sizes"],
    );
    fails(
        |_, weights| Some(reply(200, &[], &weights[..weights.len() - 4])),
        &["by its header"],
    );
}

#[test]
fn a_token_is_for_the_hub_alone() {
    let fixture = Fixture::new();
    // Where weights lie: another port, so another server.
    let store = Server::start(fixture.path("model"));
    let elsewhere = store.endpoint.clone();
    let weights = std::fs::read(fixture.path("model").join(WEIGHTS)).unwrap();
    let etag = etag(&weights);
    let hub = lying_about_weights(&fixture, move |request, _| {
        let (etag, path) = (("X-Linked-Etag", etag.as_str()), &request.path);
        match request.n_before {
            0 => Some(reply(307, &[("Location", path)], b"")),
            _ => Some(reply(
                302,
                &[("Location", &format!("{elsewhere}{path}")), etag],
                b"",
            )),
        }
    });
    fetch(&fixture, &hub).check("redirected", 0, &[]);
    assert!(hub.asked().iter().all(|request| request.has_token));
    let asked = store.asked();
    assert!(asked.len() == 1 && !asked[0].has_token, "{asked:?}");
}

#[test]
fn the_hash_of_the_hub_holds_for_the_other_server() {
    let fixture = Fixture::new();
    let store = lying_about_weights(&fixture, |_, weights| {
        // It says what it likes of itself.
        Some(reply(
            200,
            &[("X-Linked-Etag", &etag(&flipped(weights)))],
            &flipped(weights),
        ))
    });
    let elsewhere = store.endpoint.clone();
    let hub = lying_about_weights(&fixture, move |request, weights| {
        let location = format!("{elsewhere}{}", request.path);
        Some(reply(
            302,
            &[("Location", &location), ("X-Linked-Etag", &etag(weights))],
            b"",
        ))
    });
    fetch(&fixture, &hub).check("another file", 1, &["expected sha256", "got sha256"]);
    assert!(!snapshot(&fixture, WEIGHTS).exists());
}

#[test]
fn redirects_that_lead_nowhere() {
    fails(
        |request, _| Some(reply(302, &[("Location", &request.path)], b"")),
        &["more than 10 redirects"],
    );
    for location in [
        "ftp://127.0.0.1/x",
        "http://",
        "file:///etc/passwd",
        "http://[/",
    ] {
        fails(
            move |_, _| Some(reply(302, &[("Location", location)], b"")),
            &["not an address"],
        );
    }
}
