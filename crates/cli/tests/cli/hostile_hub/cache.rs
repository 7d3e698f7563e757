//! Files that lie in the cache already.

use super::*;

#[test]
fn a_damaged_file_of_the_cache_is_fetched_again() {
    let fixture = Fixture::new();
    let server = Server::start(fixture.path("model"));
    fetch(&fixture, &server).check("first", 0, &[]);
    for name in [WEIGHTS, "config.json", "tokenizer.json"] {
        let path = snapshot(&fixture, name);
        let good = std::fs::read(&path).unwrap();
        std::fs::write(&path, &good[..good.len() / 2]).unwrap();
        let mut offline = fixture.command("generate --model tiny/model -p x");
        offline.env("HF_HUB_OFFLINE", "1");
        ended(offline.output().unwrap()).check(name, 2, &["not complete in the cache", name]);
        fetch(&fixture, &server).check(name, 0, &[name, "it is fetched again"]);
        assert!(std::fs::read(&path).unwrap() == good);
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_other_tools_fetched_has_the_hash_of_its_name() {
    let fixture = Fixture::new();
    let server = Server::start(fixture.path("model"));
    fetch(&fixture, &server).check("first", 0, &[]);
    let path = snapshot(&fixture, "tokenizer_config.json");
    let config = snapshot(&fixture, "config.json");
    let good = std::fs::read(&config).unwrap();
    let blob = fixture
        .path("hf/hub/models--tiny--model/blobs")
        .join(git(&good));
    std::fs::create_dir_all(blob.parent().unwrap()).unwrap();
    std::fs::rename(&config, &blob).unwrap();
    std::os::unix::fs::symlink(&blob, &config).unwrap();
    let n_asked = server.asked().len();
    fetch(&fixture, &server).check("as it was", 0, &[]);
    assert_eq!(server.asked().len(), n_asked);
    // A blank more: JSON still, and the same model.
    std::fs::write(&blob, [good.as_slice(), b" "].concat()).unwrap();
    fetch(&fixture, &server).check(
        "changed",
        0,
        &["config.json: expected git's sha1", "fetched again"],
    );
    assert!(std::fs::read(&config).unwrap() == good && !config.is_symlink() && path.exists());
}
