//! Figures of `mlx_lm.perplexity`, computed once more in float64.

use crate::fixture::Fixture;
use candle_core::Device;
use metal_candle::LanguageModel;
use metal_candle::layout::{Arrangement, Layout};
use metal_candle::lora::Context;

/// `numpy.random.permutation(6)` of numpy 2.4 behind the seed that mlx-lm has where none is given, and behind 5.
const ORDERS: [[usize; 6]; 2] = [[1, 3, 4, 0, 2, 5], [5, 2, 4, 1, 0, 3]];

/// Row `i` of the fixture as its chat template renders it.
fn row(i: usize) -> String {
    let prompt = format!("say {i} {}", "please ".repeat(i % 4));
    let turns = [("user", prompt), ("assistant", format!("{i} it is"))];
    turns
        .map(|(role, text)| format!("<|im_start|>{role}\n{text}<|im_end|>\n"))
        .concat()
}

fn tokens(model: &LanguageModel, order: &[usize]) -> Vec<u32> {
    let rows = order.iter();
    rows.flat_map(|&i| model.tokenizer.encode_raw(&row(i)).unwrap())
        .collect()
}

/// Mean of `-log p` of every token of a piece but its first, and its standard error with the variance over `n - 1`.
fn loss(model: &LanguageModel, pieces: &[&[u32]]) -> (f64, f64) {
    let losses: Vec<f64> = pieces.iter().flat_map(|ids| losses(model, ids)).collect();
    let n = losses.len() as f64;
    let mean = losses.iter().sum::<f64>() / n;
    let squares = losses.iter().map(|loss| (loss - mean).powi(2));
    (mean, (squares.sum::<f64>() / (n - 1.0) / n).sqrt())
}

fn losses(model: &LanguageModel, ids: &[u32]) -> Vec<f64> {
    let layout = Layout::new(Arrangement::Padded, &[ids.len()]);
    let logits = model
        .model
        .decoder
        .forward(ids, &layout, &Context::inference(None))
        .unwrap();
    let logits = logits.squeeze(0).unwrap().to_vec2::<f32>().unwrap();
    let targets = logits.iter().zip(&ids[1..]);
    targets
        .map(|(logits, &target)| {
            let sum: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
            sum.ln() - f64::from(logits[target as usize])
        })
        .collect()
}

#[test]
fn pieces_of_rows_in_numpys_order_are_measured() {
    let fixture = Fixture::new();
    let model = LanguageModel::load(fixture.path("model"), &Device::Cpu).unwrap();
    for (words, order, n_pieces) in [
        ("--sequence-length 16 --num-samples 3", ORDERS[0], 3),
        (
            "--sequence-length 16 --num-samples 3 --seed 5",
            ORDERS[1],
            3,
        ),
        (
            "--sequence-length 16 --num-samples 3 --batch-size 1",
            ORDERS[0],
            3,
        ),
        (
            "--sequence-length 16 --num-samples -1",
            ORDERS[0],
            usize::MAX,
        ),
        ("--sequence-length 16", ORDERS[0], usize::MAX),
    ] {
        let words = format!("perplexity --model model --data-path data/valid.jsonl --json {words}");
        let told = fixture.ok_json(&words);
        let tokens = tokens(&model, &order);
        let pieces: Vec<&[u32]> = tokens.chunks_exact(16).take(n_pieces).collect();
        assert_eq!(told["pieces"], pieces.len(), "{words}");
        assert_eq!(told["tokens"], 15 * pieces.len(), "{words}");
        let (want, error) = loss(&model, &pieces);
        let got = told["standard_error"].as_f64().unwrap();
        assert!((got / error - 1.0).abs() < 1e-4, "{words}: {got} {error}");
        let got = told["loss"].as_f64().unwrap();
        assert!((got - want).abs() < 1e-5, "{words}: {got} {want}");
        let perplexity = told["perplexity"].as_f64().unwrap();
        assert!((perplexity / want.exp() - 1.0).abs() < 1e-5, "{words}");
    }
}

#[test]
fn pieces_that_cannot_be_cut_are_told() {
    let fixture = Fixture::new();
    let words = "perplexity --model model --data data/valid.jsonl";
    for (option, expected) in [
        ("--sequence-length 1", "must be at least 2"),
        ("--sequence-length 97", "use --sequence-length 96 or less"),
        (
            "--num-samples 3",
            "--sequence-length 512 is over the limit of the model: 96 tokens",
        ),
        ("--seed 4294967296", "from 0 to 4294967295"),
        ("--num-samples -2", "or -1 for all"),
        ("--seed 1 --mask-prompt", "cannot be used with"),
        (
            "--sequence-length 16 --max-seq-length 8",
            "cannot be used with",
        ),
    ] {
        fixture.fails(&format!("{words} {option}"), 2, &[expected]);
    }
    let ended = fixture.ok(&format!("{words} --sequence-length 16 --num-samples 100"));
    let told = "pieces of 16 tokens, not 100 (--num-samples)";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
    assert!(
        ended.stdout.contains("pieces of 6 rows"),
        "{}",
        ended.stdout
    );
    fixture.write("one.jsonl", "{\"text\": \"say\"}\n");
    let words = "perplexity --model model --data one.jsonl --sequence-length 90";
    fixture.fails(
        words,
        2,
        &["--sequence-length 90: the rows have", "give a smaller one"],
    );
}
