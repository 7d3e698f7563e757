use super::*;
use crate::data::Row;
use crate::data::testing::tokenizer;

const CHATML: &str = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";

fn example(
    row: &Row,
    template: Option<&str>,
    mask_prompt: bool,
) -> std::result::Result<Example, RowError> {
    Example::from_row(row, 5, &tokenizer(template), mask_prompt)
}

/// Prompt and completions as texts.
fn texts(example: &Example, template: Option<&str>) -> [String; 3] {
    let tokenizer = tokenizer(template);
    let Pair { n_prompt, rejected } = example.pair.as_ref().unwrap();
    assert_eq!(example.tokens[..*n_prompt], rejected[..*n_prompt]);
    let parts = [
        &example.tokens[..*n_prompt],
        &example.tokens[*n_prompt..],
        &rejected[*n_prompt..],
    ];
    parts.map(|ids| tokenizer.decode(ids).unwrap())
}

fn messages(of: &[(&str, &str)]) -> Content {
    Content::Messages(of.iter().map(|(role, text)| message(role, text)).collect())
}

#[test]
fn texts_are_messages_where_there_is_a_chat_template() {
    let row = Row::preference("ab", "cd", "ef");
    let plain = example(&row, None, true).unwrap();
    assert_eq!(texts(&plain, None), ["ab", "cd", "ef"]);
    let chat = example(&row, Some(CHATML), true).unwrap();
    assert_eq!(
        texts(&chat, Some(CHATML)),
        [
            "<user>ab</user><assistant>",
            "cd</assistant>",
            "ef</assistant>"
        ]
    );
}

#[test]
fn completions_are_trained_and_without_a_mask_the_prompt_of_the_better_one() {
    let row = Row::preference("ab", "cd", "efg");
    let trained = |mask_prompt| example(&row, None, mask_prompt).unwrap();
    let (masked, whole) = (trained(true), trained(false));
    let n_prompt = masked.pair.as_ref().unwrap().n_prompt;
    let n = masked.tokens.len();
    assert_eq!(
        masked.trained,
        (0..n).map(|i| i >= n_prompt).collect::<Vec<_>>()
    );
    assert_eq!(whole.trained, (0..n).map(|i| i > 0).collect::<Vec<_>>());
    assert_eq!(
        masked.tokens.last(),
        masked.pair.as_ref().unwrap().rejected.last(),
        "both end"
    );
}

#[test]
fn a_prompt_is_what_both_begin_with() {
    let row = |chosen, rejected| Row::Preference {
        prompt: None,
        chosen,
        rejected,
        tools: None,
    };
    let text = |text: &str| Content::Text(text.into());
    // A blank goes to the completions, and something is left of each.
    for (chosen, rejected, expected) in [
        ("a b c", "a b d", ["a b", " c", " d"]),
        ("ab", "abc", ["a", "b", "bc"]),
        ("a", "b", ["", "a", "b"]),
    ] {
        let example = example(&row(text(chosen), text(rejected)), None, true).unwrap();
        assert_eq!(texts(&example, None), expected);
    }
    let chosen = messages(&[("user", "a"), ("assistant", "b")]);
    let rejected = messages(&[("user", "a"), ("assistant", "c")]);
    let example = example(&row(chosen, rejected), Some(CHATML), true).unwrap();
    assert_eq!(
        texts(&example, Some(CHATML)),
        [
            "<user>a</user><assistant>",
            "b</assistant>",
            "c</assistant>"
        ]
    );
}

#[test]
fn pairs_of_which_nothing_can_be_learnt_are_told() {
    let same = example(&Row::preference("ab", "cd", "cd"), None, true).unwrap();
    assert_eq!(same.useless_pair(), Some(Useless::Identical));
    let mut cut = example(&Row::preference("ab", "cde", "cdf"), None, true).unwrap();
    assert_eq!(cut.useless_pair(), None);
    let n_prompt = cut.pair.as_ref().unwrap().n_prompt;
    assert!(cut.truncate(n_prompt + 1) > 0);
    assert_eq!(cut.useless_pair(), Some(Useless::Identical));
    assert!(cut.truncate(n_prompt) > 0);
    assert_eq!(cut.useless_pair(), Some(Useless::NoRoom));
    assert_eq!(cut.trained_tokens(), 0);
    // The end of an empty completion is its first token, which nothing predicts: a mean over no token.
    let alone = Example {
        tokens: vec![7],
        trained: vec![false],
        line: 1,
        pair: Some(Pair {
            n_prompt: 0,
            rejected: vec![5, 7],
        }),
    };
    assert_eq!(alone.useless_pair(), Some(Useless::NoRoom));
}

#[test]
fn a_turn_of_a_completion_cannot_be_left_out() {
    let mut marked = message("assistant", "b");
    marked.insert("weight".to_owned(), Json::Int(0));
    let row = |prompt: Vec<Message>, chosen: Vec<Message>| Row::Preference {
        prompt: Some(Content::Messages(prompt)),
        chosen: Content::Messages(chosen),
        rejected: messages(&[("assistant", "c")]),
        tools: None,
    };
    let user = message("user", "a");
    let refused = row(vec![user.clone()], vec![marked.clone()]);
    let error = example(&refused, Some(CHATML), true).unwrap_err();
    assert!(matches!(error, RowError::MarkedCompletion), "{error}");
    let in_prompt = row(
        vec![user.clone(), marked, user],
        vec![message("assistant", "d")],
    );
    assert!(example(&in_prompt, Some(CHATML), true).is_ok());
}

#[test]
fn keys_are_looked_for_in_objects() {
    assert!(check_keys(&Json::Array(vec![])).is_ok());
    let row = Json::Object(
        [("chosen".to_owned(), Json::from("a"))]
            .into_iter()
            .collect(),
    );
    let error = check_keys(&row).unwrap_err();
    assert!(
        matches!(
            error,
            RowError::NotPreference {
                missing: "rejected"
            }
        ),
        "{error}"
    );
}

#[test]
fn messages_need_a_chat_template() {
    let row = Row::Preference {
        prompt: Some(messages(&[("user", "a")])),
        chosen: Content::Text("b".into()),
        rejected: Content::Text("c".into()),
        tools: None,
    };
    let error = example(&row, None, true).unwrap_err();
    assert!(matches!(error, RowError::NoChatTemplate { .. }), "{error}");
}
