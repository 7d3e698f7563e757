//! Files of rows in other containers than JSONL, damaged or unlike what their names say.

use crate::input::{Input, TRAIN};
use crate::mutate;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

const CSV: &str = "data/rows.csv";
const GZ: &str = "data/rows.jsonl.gz";
const ZST: &str = "data/rows.jsonl.zst";
const JSON: &str = "data/rows.json";
const PARQUET: &str = "data/rows.parquet";

const ALPACA: &[u8] = include_bytes!("../../../metal-candle/tests/golden/rows/alpaca.parquet");
const GSM8K: &[u8] = include_bytes!("../../../metal-candle/tests/golden/rows/gsm8k.parquet");
const MESSAGES: &[u8] = include_bytes!("../../../metal-candle/tests/golden/rows/messages.parquet");
const ZSTD_1: &[u8] = include_bytes!("../../../metal-candle/tests/golden/rows/zstd_1.parquet");
const ZSTD_2: &[u8] = include_bytes!("../../../metal-candle/tests/golden/rows/zstd_2.parquet");
const FRAMES: &[u8] = include_bytes!("../../../metal-candle/tests/golden/rows/frames.jsonl.zst");
const TYPES: &[u8] = include_bytes!("../../../metal-candle/tests/golden/rows/types.parquet");

pub fn inputs() -> Vec<Input> {
    let mut inputs = tables();
    inputs.extend(packed());
    inputs.extend(frames());
    inputs.extend(documents());
    inputs.extend(columns());
    inputs.extend(folders());
    inputs
}

/// A file that is read alone.
fn file(name: &str, file: &'static str, content: impl Into<Vec<u8>>) -> Input {
    let command = format!("perplexity --model model --max-seq-length 48 --data {file}");
    Input::new(format!("{file} {name}"), &command).file(file, content)
}

fn tables() -> Vec<Input> {
    let refused: [(&str, &[u8]); 14] = [
        ("empty", b""),
        ("blank", b"\n \n"),
        ("a header alone", b"text,id\n"),
        ("a mark alone", b"\xEF\xBB\xBF"),
        ("a row that is too short", b"text,id\na,1\nb\n"),
        ("a row that is too long", b"text,id\na,1\nb,2,3\n"),
        ("the same column twice", b"text,text\na,b\n"),
        ("other columns", b"a,b\n1,2\n"),
        ("no UTF-8", b"text,id\na\xff,1\n"),
        ("a header without UTF-8", b"text,\xff\na,1\n"),
        ("UTF-16", b"\xff\xfet\0e\0x\0t\0\n\0a\0\n\0"),
        ("a column of JSON that is none", b"messages\n\"[{\"\n"),
        ("a column of JSON with wrong turns", b"messages\n\"[1]\"\n"),
        ("a list in it", b"[1, 2\n3"),
    ];
    let accepted: [(&str, &[u8]); 5] = [
        ("a mark before it", b"\xEF\xBB\xBFtext,id\na,1\n"),
        (
            "quotes, commas and lines in fields",
            b"text,id\r\n\"a, \"\"b\"\"\nc\",1\r\n",
        ),
        ("CR alone", b"text,id\ra,1\r"),
        ("semicolons", b"text;id\na;1\n"),
        (
            "messages as JSON",
            b"messages\n\"[{\"\"role\"\": \"\"user\"\", \"\"content\"\": \"\"a\"\"}]\"\n",
        ),
    ];
    let refused =
        refused.map(|(name, content)| file(name, CSV, content).refused(&["data/rows.csv"]));
    let accepted = accepted.map(|(name, content)| file(name, CSV, content).accepted());
    let mut inputs: Vec<Input> = refused.into_iter().chain(accepted).collect();
    inputs.extend([
        file(
            "an open quote",
            CSV,
            format!("text,id\n\"a,{}", "x\n".repeat(100_000)),
        ),
        file(
            "10,000 columns",
            CSV,
            format!("text{}\na{}\n", ",x".repeat(10_000), ",1".repeat(10_000)),
        ),
        file(
            "1 MB in a name",
            CSV,
            format!("text,{}\na,1\n", "x".repeat(1 << 20)),
        ),
        file("zeros", CSV, vec![0; 1 << 16]),
    ]);
    inputs
}

fn gz(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn packed() -> Vec<Input> {
    let rows = b"{\"text\":\"a\"}\n{\"text\":\"b\"}\n".repeat(200);
    let whole = gz(&rows);
    let cut = |n: usize| whole[..whole.len() - n].to_vec();
    let mut wrong_sum = whole.clone();
    let n = wrong_sum.len();
    wrong_sum[n - 6] ^= 1;
    let refused = [
        ("cut", cut(9)),
        ("without its sum", cut(4)),
        ("a header alone", whole[..10].to_vec()),
        ("a magic alone", whole[..2].to_vec()),
        ("another sum", wrong_sum),
        ("something behind it", [&whole[..], b"rows"].concat()),
        ("nothing in it", gz(b"")),
        ("packed twice", gz(&whole)),
        ("300 MB of zeros", gz(&vec![0; 300 << 20])),
        ("a zip in it", gz(b"PK\x03\x04\x14\0\0\0")),
    ];
    let mut inputs: Vec<Input> = refused
        .into_iter()
        .map(|(name, content)| file(name, GZ, content).refused(&["data/rows.jsonl.gz"]))
        .collect();
    inputs.extend([
        file("whole", GZ, whole.clone()).accepted(),
        file("two behind each other", GZ, whole.repeat(2)).accepted(),
        file("rows that are not packed", GZ, rows).accepted(),
        file("Parquet in it", GZ, gz(ALPACA)).accepted(),
    ]);
    inputs
}

/// A frame of Zstandard whose blocks, of 128 KiB each, are one byte again and again.
fn zeros(n_blocks: usize) -> Vec<u8> {
    let mut frame = b"\x28\xB5\x2F\xFD\x00\x38".to_vec();
    for i in 1..=n_blocks {
        let header = u32::from(i == n_blocks) | 1 << 1 | (128 << 10) << 3;
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

fn frames() -> Vec<Input> {
    let cut = |n: usize| FRAMES[..FRAMES.len() - n].to_vec();
    let mut wrong_sum = FRAMES.to_vec();
    let n = wrong_sum.len();
    wrong_sum[n - 1] ^= 1;
    let refused = [
        ("cut", cut(9)),
        ("without its sum", cut(4)),
        ("a magic alone", b"\x28\xB5\x2F\xFD".to_vec()),
        ("a frame to skip alone", FRAMES[..13].to_vec()),
        (
            "a frame to skip of 4 GB",
            b"\x50\x2A\x4D\x18\xff\xff\xff\xff".to_vec(),
        ),
        (
            "a window of 2 TB",
            b"\x28\xB5\x2F\xFD\x00\xff\x01\x00\x00".to_vec(),
        ),
        ("another sum", wrong_sum),
        ("something behind it", [FRAMES, b"rows"].concat()),
        ("300 MB of zeros", zeros(2400)),
    ];
    let refused =
        refused.map(|(name, content)| file(name, ZST, content).refused(&["data/rows.jsonl.zst"]));
    let mut inputs = Vec::from(refused);
    inputs.extend([
        file("whole", ZST, FRAMES).accepted(),
        file("under the name of gzip", GZ, FRAMES).accepted(),
    ]);
    inputs
}

fn documents() -> Vec<Input> {
    let refused = [
        ("an open list", "[{\"text\":\"a\"},"),
        ("a list of texts", "[\"a\", \"b\"]"),
        ("an empty list", "[]"),
        ("an object without rows", "{\"version\": 1}"),
        ("rows that are no list", "{\"data\": 5}"),
        ("an empty list of rows", "{\"train\": []}"),
        (
            "several lists of rows",
            "{\"train\": [{\"text\": \"a\"}], \"data\": [{\"text\": \"a\"}]}",
        ),
        ("columns", "{\"text\": [\"a\", \"b\"]}"),
        (
            "objects over lines",
            "{\n\"text\": \"a\"\n}\n{\n\"text\": \"b\"\n}\n",
        ),
        (
            "a huge number",
            "[{\"question\": \"a\", \"answer\": 1e999999999}]",
        ),
        (
            "a second row of another shape",
            "[{\"text\": \"a\"}, {\"prompt\": \"a\", \"completion\": \"b\"}]",
        ),
    ];
    let mut inputs: Vec<Input> = refused
        .into_iter()
        .map(|(name, content)| file(name, JSON, content).refused(&["data/rows.json"]))
        .collect();
    let deep = mutate::extreme("DEEP");
    inputs.extend([
        file(
            "100,000 lists deep",
            JSON,
            format!("[{{\"text\": \"a\", \"b\": {deep}}}]"),
        )
        .refused(&["200 deep"]),
        file(
            "a number of many digits",
            JSON,
            format!("[{{\"text\": \"a\", \"id\": {}}}]", "9".repeat(100_000)),
        )
        .accepted(),
        file(
            "splits",
            JSON,
            "{\"train\": [{\"text\": \"a\"}], \"validation\": [{\"text\": \"b\"}]}",
        )
        .accepted(),
    ]);
    inputs
}

fn columns() -> Vec<Input> {
    let cut = |n: usize| GSM8K[..GSM8K.len() - n].to_vec();
    let mut long_footer = GSM8K.to_vec();
    let n = long_footer.len();
    long_footer[n - 8..n - 4].copy_from_slice(&[0xff; 4]);
    let refused = [
        ("its magic alone", b"PAR1".to_vec()),
        ("its magics alone", b"PAR1PAR1".to_vec()),
        ("no footer", cut(8)),
        ("no end", cut(1)),
        ("half", GSM8K[..GSM8K.len() / 2].to_vec()),
        ("a footer of 4 GB", long_footer),
        ("zeros", [&b"PAR1"[..], &[0; 4096], b"PAR1"].concat()),
        ("columns that make no row", TYPES.to_vec()),
    ];
    let mut inputs: Vec<Input> = refused
        .into_iter()
        .map(|(name, content)| file(name, PARQUET, content).refused(&["data/rows.parquet"]))
        .collect();
    inputs.extend([
        file("rows of another container", PARQUET, "{\"text\":\"a\"}\n").accepted(),
        file("whole", PARQUET, GSM8K).accepted(),
    ]);
    let commands = ["perplexity --model model --max-seq-length 48 --data data/rows.parquet"];
    for (name, content) in [
        ("alpaca", ALPACA),
        ("gsm8k", GSM8K),
        ("messages", MESSAGES),
        ("zstd_1", ZSTD_1),
        ("zstd_2", ZSTD_2),
    ] {
        let damaged = mutate::bytes_of(PARQUET, &commands, 40).into_iter();
        inputs.extend(damaged.map(|input| {
            let name = format!("{name} {}", input.name);
            input
                .named(&name)
                .before(move |folder| crate::input::write(&folder.join(PARQUET), content))
        }));
    }
    inputs
}

fn folders() -> Vec<Input> {
    let train = |name: &str| Input::new(name, TRAIN);
    vec![
        train("two files for one split")
            .file("data/train.csv", "text\na\n")
            .change(|folder| std::fs::remove_file(folder.join("data/train.jsonl")).unwrap())
            .file("data/train.json", "[]")
            .refused(&["train.csv", "train.json"]),
        train("validation rows of another container")
            .file("data/dev.csv", "prompt,completion\na,b\n")
            .accepted(),
        train("empty validation rows")
            .file("data/validation.json", "[]")
            .change(|folder| std::fs::remove_file(folder.join("data/valid.jsonl")).unwrap())
            .refused(&["data/validation.json", "no rows"]),
        train("a folder without rows")
            .change(|folder| {
                std::fs::remove_dir_all(folder.join("data")).unwrap();
                std::fs::create_dir(folder.join("data")).unwrap();
            })
            .refused(&["no train data"]),
    ]
}
