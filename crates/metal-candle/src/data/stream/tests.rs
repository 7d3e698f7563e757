use super::*;
use crate::data::testing::{byte_fallback_tokenizer, tokenizer};
use proptest::prelude::*;
use std::sync::LazyLock;

static BYTE_LEVEL: LazyLock<Tokenizer> = LazyLock::new(|| tokenizer(None));
static BYTE_FALLBACK: LazyLock<Tokenizer> = LazyLock::new(byte_fallback_tokenizer);

fn pieces(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<String> {
    let mut stream = TextStream::new(tokenizer);
    let mut pieces: Vec<String> = ids.iter().map(|&id| stream.push(id).unwrap()).collect();
    pieces.push(stream.finish().unwrap());
    pieces
}

#[test]
fn a_character_of_several_tokens_comes_whole() {
    let ids = BYTE_LEVEL.encode("a🙂b").unwrap();
    assert!(
        ids.len() > 3,
        "the test needs a character of several tokens"
    );
    let pieces = pieces(&BYTE_LEVEL, &ids);
    let texts: Vec<&str> = pieces
        .iter()
        .map(String::as_str)
        .filter(|text| !text.is_empty())
        .collect();
    assert_eq!(texts, ["a", "🙂", "b"]);
}

#[test]
fn an_incomplete_character_waits_for_the_end() {
    let mut ids = BYTE_LEVEL.encode("a🙂").unwrap();
    ids.pop();
    let pieces = pieces(&BYTE_LEVEL, &ids);
    assert_eq!(pieces[0], "a");
    assert!(pieces[1..pieces.len() - 1].iter().all(String::is_empty));
    assert_eq!(pieces.last().unwrap(), "\u{FFFD}");
}

#[test]
fn special_tokens_are_not_printed() {
    let ids = BYTE_LEVEL.encode("a<|im_end|> b").unwrap();
    assert_eq!(pieces(&BYTE_LEVEL, &ids).concat(), "a b");
    // Nor do they cost the next token its blank.
    let (_, eos) = BYTE_FALLBACK.eos_token().unwrap();
    let a = BYTE_FALLBACK.token_to_id("▁a").unwrap();
    assert_eq!(pieces(&BYTE_FALLBACK, &[a, eos, eos, a]).concat(), "a a");
}

#[test]
fn only_the_first_blank_is_stripped() {
    let ids = BYTE_FALLBACK.encode_raw("a a  b中").unwrap();
    assert_eq!(pieces(&BYTE_FALLBACK, &ids)[..3], ["a", " a", " "]);
    assert_eq!(pieces(&BYTE_FALLBACK, &ids).concat(), "a a  b中");
}

#[test]
fn a_stream_can_be_used_again() {
    let ids = BYTE_FALLBACK.encode_raw("a a").unwrap();
    let mut stream = TextStream::new(&BYTE_FALLBACK);
    for _ in 0..2 {
        let text: String = ids.iter().map(|&id| stream.push(id).unwrap()).collect();
        assert_eq!(text + &stream.finish().unwrap(), "a a");
    }
}

/// A model that goes wrong may give bytes that are no text for ever.
#[test]
fn broken_bytes_neither_wait_nor_pile_up() {
    let byte = |byte: u8| {
        BYTE_FALLBACK
            .token_to_id(&format!("<0x{byte:02X}>"))
            .unwrap()
    };
    for (tokenizer, id) in [(&*BYTE_FALLBACK, byte(0xFF)), (&*BYTE_LEVEL, broken_byte())] {
        let mut stream = TextStream::new(tokenizer);
        let mut text = String::new();
        for n in 1..=1000 {
            text += &stream.push(id).unwrap();
            assert!(text.chars().count() + MAX_WAITING >= n, "{n} tokens wait");
            assert!(
                stream.ids.len() <= 2 * (MAX_WAITING + 1),
                "{}",
                stream.ids.len()
            );
        }
        text += &stream.finish().unwrap();
        assert_eq!(text, "\u{FFFD}".repeat(1000));
    }
}

/// A byte that begins no character, 0xFF, as byte-level vocabularies spell it.
fn broken_byte() -> u32 {
    BYTE_LEVEL.token_to_id("ÿ").unwrap()
}

/// A character after broken bytes comes whole, wherever the broken bytes are cut.
#[test]
fn characters_after_broken_bytes_are_whole() {
    let face = BYTE_LEVEL.encode("🙂").unwrap();
    for n in 0..40 {
        let ids = [
            vec![broken_byte(); n],
            face.clone(),
            vec![broken_byte(); 12],
            face.clone(),
        ]
        .concat();
        assert_eq!(
            pieces(&BYTE_LEVEL, &ids).concat(),
            BYTE_LEVEL.decode(&ids).unwrap(),
            "{n}"
        );
    }
}

#[test]
fn tokens_without_text_do_not_pile_up() {
    let (_, eos) = BYTE_LEVEL.eos_token().unwrap();
    for id in [eos, 1_000_000] {
        let mut stream = TextStream::new(&BYTE_LEVEL);
        for _ in 0..100 {
            assert_eq!(stream.push(id).unwrap(), "");
            assert!(stream.ids.len() <= MAX_WAITING + 1);
        }
    }
}

/// Letters, blanks, characters of two to four bytes, U+FFFD itself.
const TEXT: &str = "[ab \n\u{FFFD}é中🙂\u{200D}]{0,24}";

proptest! {
    #[test]
    fn the_pieces_make_the_text(text in TEXT) {
        for tokenizer in [&*BYTE_LEVEL, &*BYTE_FALLBACK] {
            let ids = tokenizer.encode(&text).unwrap();
            prop_assert_eq!(pieces(tokenizer, &ids).concat(), tokenizer.decode(&ids).unwrap());
        }
    }

    #[test]
    fn any_string_streams(text in any::<String>()) {
        for tokenizer in [&*BYTE_LEVEL, &*BYTE_FALLBACK] {
            let ids = tokenizer.encode(&text).unwrap();
            prop_assert_eq!(pieces(tokenizer, &ids).concat(), tokenizer.decode(&ids).unwrap());
        }
    }

    /// What a model makes up need not be UTF-8.
    #[test]
    fn any_tokens_stream(ids in prop::collection::vec(0_u32..310, 0..60)) {
        prop_assert_eq!(pieces(&BYTE_LEVEL, &ids).concat(), BYTE_LEVEL.decode(&ids).unwrap());
    }
}
