//! `generation_config.json`, which a model need not have.

use crate::input::{GENERATE, Input, TRAIN};
use crate::{mutate, odd_file};

const FILE: &str = "model/generation_config.json";
const VALID: &str = "{\"bos_token_id\": 1, \"eos_token_id\": [317, 319], \"do_sample\": true, \"temperature\": 0.6, \
                     \"top_k\": 20, \"top_p\": 0.95, \"transformers_version\": \"4.51.0\"}";

pub fn inputs() -> Vec<Input> {
    let mut inputs = odd_file::all_of_optional(FILE, GENERATE);
    let eos = |raw: &str| {
        let text = format!("{{\"eos_token_id\": {}}}", mutate::extreme(raw));
        Input::new(format!("eos_token_id = {raw}"), GENERATE).file(FILE, text)
    };
    let wrong = [
        "-1",
        "4294967296",
        "1.5",
        "\"x\"",
        "{}",
        "true",
        "[\"x\"]",
        "[-1]",
        "[[1]]",
        "NaN",
        "DEEP",
    ];
    inputs.extend(wrong.map(|raw| eos(raw).refused(&["generation_config.json"])));
    inputs.extend(["null", "[]", "317", "[317, 319]"].map(|raw| eos(raw).accepted()));
    inputs.extend(["4294967295", "LONG"].map(eos));
    inputs.push(Input::new("a list", GENERATE).file(FILE, "[]"));
    inputs.push(
        Input::new("as published", GENERATE)
            .and(TRAIN)
            .file(FILE, VALID)
            .accepted(),
    );
    inputs.extend(damaged(mutate::json_of(FILE, &[GENERATE], 15)));
    inputs.extend(damaged(mutate::bytes_of(FILE, &[GENERATE], 10)));
    inputs
}

/// The valid file is written first.
fn damaged(inputs: Vec<Input>) -> impl Iterator<Item = Input> {
    inputs.into_iter().map(|input| input.first(FILE, VALID))
}
