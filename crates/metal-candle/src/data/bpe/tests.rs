use super::*;
use crate::data::Tokenizer;
use tempfile::tempdir;

fn texts() -> Vec<String> {
    [
        "the cat sat on the mat, the cat that sat",
        "Don't count 12345 sheep\n\n",
        "naïve 世界",
    ]
    .map(str::to_owned)
    .to_vec()
}

#[test]
fn the_same_texts_give_the_same_tokenizer() {
    let json = || {
        train_bpe(&texts(), 320, &["<a>"])
            .unwrap()
            .to_string(false)
            .unwrap()
    };
    assert_eq!(json(), json());
}

#[test]
fn words_are_merged_digits_are_not() {
    let tokenizer = train_bpe(&texts(), 320, &[]).unwrap();
    let tokens = |text: &str| tokenizer.encode(text, false).unwrap().get_tokens().to_vec();
    assert_eq!(tokens(" the cat"), ["Ġthe", "Ġcat"]);
    assert_eq!(tokens("123"), ["1", "2", "3"]);
}

#[test]
fn any_text_survives() {
    let tokenizer = train_bpe(&texts(), 256, &[]).unwrap();
    let text = "\u{0}\u{7F}ÿ 🙂 \r\n\t한국어";
    let ids = tokenizer.encode(text, false).unwrap();
    assert_eq!(tokenizer.decode(ids.get_ids(), false).unwrap(), text);
}

#[test]
fn special_tokens_come_last_and_whole() {
    let tokenizer = train_bpe(&texts(), 280, &["<|x|>", "<|y|>"]).unwrap();
    assert_eq!(tokenizer.get_vocab_size(true), 280);
    let ids = tokenizer.encode("a<|y|>", false).unwrap();
    assert_eq!(ids.get_ids().last(), Some(&279));
}

#[test]
fn a_vocabulary_without_room_is_an_error() {
    let error = train_bpe(&texts(), 257, &["<a>", "<b>"]).unwrap_err();
    assert!(matches!(
        error,
        Error::VocabTooSmall {
            vocab_size: 257,
            needed: 258
        }
    ));
}

#[test]
fn what_is_written_can_be_read() {
    let folder = tempdir().unwrap();
    let trained = train_bpe(&texts(), 280, &["<eos>"]).unwrap();
    write_tokenizer(
        &folder.path().join("new"),
        &trained,
        "<eos>",
        Some("{{ messages[0].content }}"),
    )
    .unwrap();
    let read = Tokenizer::from_folder(&folder.path().join("new")).unwrap();
    assert_eq!(read.eos_token(), Some(("<eos>".to_owned(), 279)));
    assert!(read.has_chat_template());
    let text = "the cat <eos>";
    assert_eq!(
        read.encode(text).unwrap(),
        trained.encode(text, true).unwrap().get_ids()
    );
    assert!(write_tokenizer(folder.path(), &trained, "<nope>", None).is_err());
}
