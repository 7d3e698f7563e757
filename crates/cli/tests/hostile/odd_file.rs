//! What a name may stand for that is not the file it should be.

use crate::input::Input;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

type Place = fn(&Path);

/// Each is put where the file was, which is gone.
const ODD: &[(&str, Place)] = &[
    ("a folder", |path| std::fs::create_dir(path).unwrap()),
    ("a pipe that nobody writes to", pipe),
    ("a link to itself", |path| symlink(path, path).unwrap()),
    ("a link to nothing", |path| {
        symlink("nowhere", path).unwrap()
    }),
    ("an endless file", |path| {
        symlink("/dev/zero", path).unwrap()
    }),
    ("an empty device", |path| {
        symlink("/dev/null", path).unwrap()
    }),
    ("empty", |path| std::fs::write(path, "").unwrap()),
    ("gzip", |path| std::fs::write(path, GZIP).unwrap()),
    ("a picture", |path| std::fs::write(path, PNG).unwrap()),
    ("a pickle", |path| {
        std::fs::write(path, b"\x80\x02}q\x00(X\x01\x00\x00\x00aK\x01u.").unwrap()
    }),
    ("a page of a web server", |path| {
        std::fs::write(path, "<!DOCTYPE html><html><body>404</body></html>").unwrap();
    }),
    ("a pointer of git-lfs", |path| {
        std::fs::write(
            path,
            "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
        )
        .unwrap();
    }),
    ("UTF-16", |path| {
        let text: String = "{\"a\": 1}\n".into();
        let bytes = text.encode_utf16().flat_map(u16::to_le_bytes);
        std::fs::write(
            path,
            [0xff, 0xfe].into_iter().chain(bytes).collect::<Vec<u8>>(),
        )
        .unwrap();
    }),
    ("no UTF-8", |path| {
        std::fs::write(path, b"{\"a\": \"\xff\xfe\xc3\"}\n").unwrap()
    }),
];

const GZIP: &[u8] =
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xabV*J-\xcd\x04\x00\x9b\x1f\xd6\x8a\x05\x00\x00\x00";
const PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00";

/// Every odd thing under the name of `file`, which `command` reads and must refuse.
pub fn all(file: &'static str, command: &str) -> Vec<Input> {
    let input = |(name, place): &(&str, Place)| {
        let place = *place;
        let input = Input::new(format!("{file} is {name}"), command);
        input
            .change(move |folder| put(&folder.join(file), place))
            .refused(&[])
    };
    ODD.iter().map(input).collect()
}

/// [`all`] without those that are as good as no file where the file need not be there.
pub fn all_of_optional(file: &'static str, command: &str) -> Vec<Input> {
    let mut inputs = all(file, command);
    inputs.retain(|input| {
        !["link to nothing", "an empty device"]
            .iter()
            .any(|name| input.name.ends_with(name))
    });
    inputs
}

pub fn pipe(path: &Path) {
    let status = Command::new("mkfifo").arg(path).status();
    assert!(status.unwrap().success());
}

fn put(path: &Path, place: Place) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    // Not there where the file is one that a model need not have.
    let _ = std::fs::remove_file(path);
    place(path);
}
