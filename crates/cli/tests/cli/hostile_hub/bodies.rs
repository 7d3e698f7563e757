//! Bodies that break off, are wrong, or have no length.

use super::*;

#[test]
fn a_body_that_breaks_off_is_continued() {
    let cut = |request: &Request, weights: &[u8]| {
        let length = weights.len().to_string();
        let etag = etag(weights);
        let headers = [
            ("Content-Length", length.as_str()),
            ("X-Linked-Etag", etag.as_str()),
        ];
        (request.range.is_none()).then(|| raw(200, &headers, &weights[..1000]))
    };
    let asked = recovers(None, cut);
    assert_eq!(asked.last().unwrap().range, Some(1000));
    fails(
        move |request, weights| {
            cut(
                &Request {
                    range: None,
                    ..request.clone()
                },
                weights,
            )
        },
        &["cannot be downloaded", "attempt 3 of 3"],
    );
}

#[test]
fn a_wrong_hash_is_told_and_nothing_is_kept() {
    let fixture = Fixture::new();
    let weights = std::fs::read(fixture.path("model").join(WEIGHTS)).unwrap();
    let server = lying_about_weights(&fixture, |_, weights| {
        Some(reply(
            200,
            &[("X-Linked-Etag", &etag(weights))],
            &flipped(weights),
        ))
    });
    let (expected, got) = (sha256(&weights), sha256(&flipped(&weights)));
    let words = format!("expected sha256 {expected}, got sha256 {got}");
    fetch(&fixture, &server).check("hash", 1, &[&words, "arrives damaged"]);
    assert!(!snapshot(&fixture, WEIGHTS).exists());
    assert!(!snapshot(&fixture, "model.safetensors.part").exists());
    // Once more, and no more.
    assert_eq!(
        server
            .asked()
            .iter()
            .filter(|request| request.path.ends_with(WEIGHTS))
            .count(),
        2
    );
    recovers(None, |request, weights| {
        let damaged = reply(200, &[("X-Linked-Etag", &etag(weights))], &flipped(weights));
        (request.n_before == 0).then_some(damaged)
    });
}

#[test]
fn a_wrong_part_is_not_appended() {
    for range in [
        "bytes 0-9/10",
        "bytes 999-1000/2000",
        "bytes 1001-1002/1003",
        "nonsense",
    ] {
        let asked = recovers(Some(1000), move |request, weights| {
            request.range.map(|from| {
                reply(
                    206,
                    &[("X-Linked-Etag", &etag(weights)), ("Content-Range", range)],
                    &weights[from - 500..],
                )
            })
        });
        assert_eq!(asked.last().unwrap().range, None, "{range}");
    }
    // What lay there was another file's.
    let fixture = Fixture::new();
    let weights = std::fs::read(fixture.path("model").join(WEIGHTS)).unwrap();
    let part = snapshot(&fixture, "model.safetensors.part");
    std::fs::create_dir_all(part.parent().unwrap()).unwrap();
    for wrong in [
        vec![7; 1000],
        vec![7; weights.len()],
        vec![7; weights.len() + 5],
    ] {
        std::fs::write(&part, wrong).unwrap();
        let _ = std::fs::remove_file(snapshot(&fixture, WEIGHTS));
        let server = Server::start(fixture.path("model"));
        fetch(&fixture, &server).check("another file's part", 0, &[]);
        assert!(std::fs::read(snapshot(&fixture, WEIGHTS)).unwrap() == weights);
    }
}

#[test]
fn a_body_without_a_length() {
    let chunked = |weights: &[u8], end: &[u8]| {
        let size = format!("{:x}\r\n", weights.len());
        [size.as_bytes(), weights, b"\r\n", end].concat()
    };
    recovers(None, move |_, weights| {
        Some(raw(
            200,
            &[("Transfer-Encoding", "chunked")],
            &chunked(weights, b"0\r\n\r\n"),
        ))
    });
    // No end: what is announced is enough.
    fails(
        move |_, weights| {
            let size = weights.len().to_string();
            let headers = [
                ("Transfer-Encoding", "chunked"),
                ("X-Linked-Size", size.as_str()),
            ];
            Some(raw(
                200,
                &headers,
                &chunked(&[weights, weights].concat(), b""),
            ))
        },
        &["more than the"],
    );
    recovers(None, |_, weights| Some(raw(200, &[], weights)));
}

#[test]
fn silence_ends_and_slowness_does_not() {
    let head = |weights: &[u8]| {
        raw(
            200,
            &[("Content-Length", &weights.len().to_string())],
            &weights[..10],
        )
    };
    let stalled = move |_: &Request, weights: &[u8]| {
        let mut stalled = head(weights);
        stalled.push(Piece::Wait(Duration::from_secs(60)));
        Some(stalled)
    };
    fails(stalled, &["timeout", "attempt 3 of 3"]);
    fails(
        |_, _| Some(vec![Piece::Wait(Duration::from_secs(60))]),
        &["timeout"],
    );
    recovers(None, move |request, weights| {
        (request.n_before == 0)
            .then(|| stalled(request, weights))
            .flatten()
    });
    recovers(None, move |_, weights| {
        let mut slow = head(weights);
        for part in weights[10..].chunks(weights.len() / 8) {
            slow.extend([
                Piece::Wait(Duration::from_millis(200)),
                Piece::Bytes(part.to_vec()),
            ]);
        }
        Some(slow)
    });
}
