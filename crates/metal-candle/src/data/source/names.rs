//! Names of files of rows: their containers, and the splits that they are named after, as mlx-lm and Hugging Face's
//! `datasets` do.

use crate::data::splits::Split;

/// Endings of files of rows; each may be followed by one of [`PACKED`]. Those of [`UNREAD`] are chosen where nothing else
/// is there, so that reading them says what they are.
const ENDINGS: [&str; 7] = [
    ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow",
];

/// Endings of packed files, of which those of [`UNREAD`] are not unpacked.
const PACKED: [&str; 5] = [".gz", ".zst", ".bz2", ".xz", ".zip"];

/// Endings of files that are told from others, and not read.
const UNREAD: [&str; 4] = [".bz2", ".xz", ".zip", ".arrow"];

/// Files that `datasets` writes beside rows.
const BESIDE: [&str; 4] = [
    "dataset_info.json",
    "dataset_infos.json",
    "dataset_dict.json",
    "state.json",
];

/// Words that name a split.
const WORDS: [(&str, Split); 10] = [
    ("train", Split::Train),
    ("training", Split::Train),
    ("validation", Split::Valid),
    ("valid", Split::Valid),
    ("val", Split::Valid),
    ("dev", Split::Valid),
    ("test", Split::Test),
    ("testing", Split::Test),
    ("eval", Split::Test),
    ("evaluation", Split::Test),
];

/// The name without the ending of a file of rows; `None` for other files.
pub(super) fn stem(name: &str) -> Option<&str> {
    let lower = name.to_lowercase();
    let packing = PACKED.iter().find_map(|packed| lower.strip_suffix(packed));
    let unpacked = packing.unwrap_or(&lower);
    if BESIDE.contains(&lower.rsplit('/').next()?) {
        return None;
    }
    let ending = ENDINGS.iter().find(|ending| unpacked.ends_with(*ending))?;
    name.get(..unpacked.len() - ending.len())
}

/// Whether a name is that of a file whose rows can be read.
pub(super) fn is_read(name: &str) -> bool {
    let lower = name.to_lowercase();
    stem(name).is_some() && !UNREAD.iter().any(|ending| lower.ends_with(ending))
}

/// The split that a word names.
pub(super) fn split_of_word(word: &str) -> Option<Split> {
    let word = word.to_lowercase();
    let found = WORDS.iter().find(|(other, _)| *other == word);
    found.map(|(_, split)| *split)
}

/// The split of a file by its path in a folder: the first word of its name that is one, or of its folder's.
pub(super) fn split_of(path: &str) -> Option<Split> {
    let mut parts = path.rsplit('/');
    parts.find_map(|part| {
        let mut words = part.split(|c: char| !c.is_ascii_alphanumeric());
        words.find_map(split_of_word)
    })
}

/// The path of a file without what tells the shards of one table apart: `-00000-of-00002`, and the hash that old
/// conversions of Hugging Face put behind it.
pub(super) fn without_shard(path: &str) -> String {
    let stem = stem(path).unwrap_or(path);
    let mut parts: Vec<&str> = stem.split('-').collect();
    let is_hash = |part: &&&str| part.len() == 16 && part.chars().all(|c| c.is_ascii_hexdigit());
    if parts.len() > 3 && parts.last().is_some_and(|last| is_hash(&last)) {
        parts.pop();
    }
    let is_number = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    // Numbers alone are the shards of their folder's table.
    if let Some((folder, _)) = stem.rsplit_once('/').filter(|(_, file)| is_number(file)) {
        return folder.to_owned();
    }
    match parts.as_slice() {
        [rest @ .., n, "of", m] if is_number(n) && is_number(m) && !rest.is_empty() => {
            rest.join("-")
        }
        _ => path.to_owned(),
    }
}

/// Number of shards that a name like `train-00000-of-00002` speaks of.
pub(super) fn n_shards(path: &str) -> Option<usize> {
    let mut parts = stem(path)?.split('-').skip_while(|part| *part != "of");
    parts.nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_are_told_by_words_of_names() {
        let cases = [
            ("train.jsonl", Some(Split::Train)),
            ("data/train-00000-of-00002.parquet", Some(Split::Train)),
            ("alpaca_dev.csv.gz", Some(Split::Valid)),
            ("val.json", Some(Split::Valid)),
            ("test/0.parquet", Some(Split::Test)),
            ("latest.jsonl", None),
            ("trained.jsonl", None),
            ("alpaca.json", None),
        ];
        for (name, expected) in cases {
            assert_eq!(split_of(name), expected, "{name}");
        }
    }

    #[test]
    fn shards_have_one_name() {
        let cases = [
            ("data/train-00001-of-00002.parquet", "data/train"),
            (
                "data/train-00000-of-00001-0123456789abcdef.parquet",
                "data/train",
            ),
            ("train.jsonl", "train.jsonl"),
            ("part-3.jsonl", "part-3.jsonl"),
            ("default/train/0003.parquet", "default/train"),
        ];
        for (name, expected) in cases {
            assert_eq!(without_shard(name), expected, "{name}");
        }
        assert_eq!(stem("A.JSONL.GZ"), Some("A"));
        assert_eq!(stem("train.jsonl.zst"), Some("train"));
        assert_eq!(
            stem("train/data-00000-of-00001.arrow"),
            Some("train/data-00000-of-00001")
        );
        for other in ["README.md", "train/dataset_info.json", "data.zip"] {
            assert_eq!(stem(other), None, "{other}");
        }
    }
}
