use super::*;
use crate::generate::{Limit, Sampling, read_prompt};
use crate::layout::Arrangement;
use crate::lora::{AdapterSet, LoraConfig, Method, Plan, Targets};
use crate::models::{Error, Model, PromptCacheInfo};
use crate::random::normal;
use candle_core::{Device, Tensor};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;

const VOCABULARY: u32 = 40;
const MAX_TOKENS: usize = 80;

fn model() -> Model {
    model_with(true)
}

fn model_with(tie_word_embeddings: bool) -> Model {
    let config = json!({
        "model_type": "qwen3", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6, "rms_norm_eps": 1e-6,
        "vocab_size": VOCABULARY, "max_position_embeddings": MAX_TOKENS,
        "tie_word_embeddings": tie_word_embeddings, "initializer_range": 0.5,
    });
    Model::random(config, 3, &Device::Cpu).unwrap()
}

/// Rotary angles that change at 24 tokens, and a window.
fn outgrowing_model() -> Model {
    let config = json!({
        "model_type": "phi3", "hidden_size": 24, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-6, "sliding_window": 9,
        "vocab_size": VOCABULARY, "max_position_embeddings": MAX_TOKENS, "initializer_range": 0.5,
        "rope_scaling": {
            "type": "longrope", "original_max_position_embeddings": 24,
            "short_factor": [1.0, 1.1, 1.3], "long_factor": [1.0, 3.0, 8.0],
        },
    });
    Model::random(config, 4, &Device::Cpu).unwrap()
}

/// A request of every kind: lengths from 1 to 76, greedy and drawn, with penalties, limits and ends.
fn request(i: u32) -> Request {
    let prompt = (0..1 + 5 * i).map(|t| (t * t + 7 * i) % VOCABULARY);
    let sampling = match i % 3 {
        0 => Sampling::default(),
        1 => Sampling {
            temperature: 0.8,
            top_p: 0.9,
            seed: u64::from(i),
            ..Sampling::default()
        },
        _ => Sampling {
            temperature: 1.5,
            repetition_penalty: 1.3,
            seed: 1,
            ..Sampling::default()
        },
    };
    Request {
        prompt: prompt.collect(),
        max_tokens: 3 + 2 * i as usize,
        eos_token_ids: vec![i, 39],
        sampling,
        ..Request::default()
    }
}

type Steps = HashMap<SequenceId, Vec<Step>>;

fn run(engine: &mut Engine<'_>, steps: &mut Steps) {
    for (id, step) in engine.step().unwrap() {
        steps.entry(id).or_default().push(step.unwrap());
    }
}

fn alone(model: &Model, request: Request) -> Vec<Step> {
    let mut engine = Engine::new(&model.decoder);
    let id = engine.insert(request).unwrap();
    let mut steps = Steps::new();
    while !engine.is_empty() {
        run(&mut engine, &mut steps);
    }
    steps.remove(&id).unwrap()
}

#[test]
fn sixteen_texts_at_once_are_what_each_is_alone() {
    for model in [model(), outgrowing_model()] {
        check_sixteen_texts(&model);
    }
}

fn check_sixteen_texts(model: &Model) {
    for (form, prefill) in [
        (CacheForm::Contiguous, 2048),
        (CacheForm::Contiguous, 7),
        (CacheForm::Paged, 100),
    ] {
        let mut engine = Engine::new(&model.decoder)
            .with_cache(form)
            .with_prefill_tokens(prefill);
        let (mut ids, mut steps) = (vec![], Steps::new());
        // Some come while others are on their way.
        for i in 0..16 {
            ids.push(engine.insert(request(i)).unwrap());
            if i % 4 == 3 {
                run(&mut engine, &mut steps);
            }
        }
        while !engine.is_empty() {
            run(&mut engine, &mut steps);
        }
        let mut ends = vec![];
        for (i, id) in (0..).zip(ids) {
            let alone = alone(model, request(i));
            assert_eq!(steps[&id], alone, "{form:?} {prefill}: text {i}");
            ends.extend(alone.last().cloned());
        }
        let ends_with = |reason| ends.contains(&Step::Finished(reason));
        assert!(ends_with(FinishReason::Stop));
        assert!(ends_with(FinishReason::Length(Limit::MaxTokens)));
        assert!(ends_with(FinishReason::Length(Limit::Model)));
    }
}

#[test]
fn a_text_behind_a_cache_is_that_behind_its_tokens() {
    let model = model();
    for (form, n_before) in [
        (CacheForm::Contiguous, 1),
        (CacheForm::Contiguous, 40),
        (CacheForm::Paged, 64),
    ] {
        let whole = Request {
            max_tokens: 100,
            eos_token_ids: vec![],
            ..request(15)
        };
        let (before, rest) = whole.prompt.split_at(n_before);
        let cache = read_prompt(&model.decoder, before, None, form).unwrap();
        let mut engine = Engine::new(&model.decoder);
        let rest = Request {
            prompt: rest.to_vec(),
            ..whole.clone()
        };
        let id = engine.insert_behind(cache, rest).unwrap();
        let mut steps = Steps::new();
        while !engine.is_empty() {
            run(&mut engine, &mut steps);
        }
        let alone = alone(&model, whole);
        let end = Step::Finished(FinishReason::Length(Limit::Model));
        assert_eq!(alone.last(), Some(&end));
        assert_eq!(steps[&id], alone, "{form:?} {n_before}");
    }
}

#[test]
fn keys_that_a_longer_text_has_otherwise_are_not_kept() {
    let model = outgrowing_model();
    let form = CacheForm::Contiguous;
    let cache = read_prompt(&model.decoder, &[1, 2], None, form).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (path, info) = (folder.path().join("kept"), PromptCacheInfo::default());
    let error = model.decoder.write_cache(&path, &cache, &info).unwrap_err();
    assert!(matches!(error, Error::NotKept { tokens: 24 }), "{error}");
    assert!(!path.exists());
}

/// Most likely token behind `new` tokens that follow those of a cache.
fn next(model: &Model, cache: &mut KvCache, new: &[u32]) -> u32 {
    let span = Span {
        sequence: 0,
        start: cache.len(),
        len: new.len(),
    };
    let (layout, last) = (Layout::ragged(vec![span]), new.len() as u32 - 1);
    let (context, caches) = (Context::default(), &mut [cache]);
    let decoder = &model.decoder;
    let logits = decoder.decode(new, &layout, &context, caches, &[last]);
    most_likely(&logits.unwrap()).unwrap()[0].unwrap()
}

/// The last token of a prompt comes alone, as in mlx-lm: it sees the first four.
#[test]
fn texts_with_bounded_caches_are_those_of_tokens_one_by_one() {
    let model = model();
    for bound in [5, 9, 30] {
        let form = CacheForm::Bounded(bound);
        let mut engine = Engine::new(&model.decoder).with_cache(form);
        let requests: Vec<_> = (0..5).map(|i| request(3 * i)).collect();
        let ids = requests.iter().map(|of| engine.insert(of.clone()).unwrap());
        let ids: Vec<_> = ids.collect();
        let mut steps = Steps::new();
        while !engine.is_empty() {
            run(&mut engine, &mut steps);
        }
        for (id, request) in ids.iter().zip(&requests) {
            let (last, first) = request.prompt.split_last().unwrap();
            let mut cache = model.decoder.cache(form);
            if !first.is_empty() {
                next(&model, &mut cache, first);
            }
            let mut token = *last;
            for step in &steps[id] {
                if let Step::Token(got) = step {
                    token = next(&model, &mut cache, &[token]);
                    assert_eq!(got.id, token, "{bound}: {} tokens", cache.len());
                }
            }
        }
    }
}

#[test]
fn caches_of_two_forms_in_one_pass_are_refused() {
    let model = model();
    let forms = [CacheForm::Contiguous, CacheForm::Bounded(8)];
    let mut caches = forms.map(|form| model.decoder.cache(form));
    let spans = [0, 1].map(|sequence| Span {
        sequence,
        start: 0,
        len: 1,
    });
    let mut caches: Vec<&mut KvCache> = caches.iter_mut().collect();
    let layout = Layout::ragged(spans.to_vec());
    let error = model
        .decoder
        .advance(&[1, 2], &layout, &Context::default(), &mut caches)
        .unwrap_err();
    let expected = "sequences of one pass have caches over all tokens and over 8";
    assert_eq!(error.to_string(), expected);
}

/// Adapters of every kind of layer that have been trained.
fn adapter(model: &Model, method: Method, seed: u64) -> Arc<AdapterSet> {
    let targets = ["q_proj", "down_proj", "lm_head", "embed_tokens"];
    let skip = usize::from(method == Method::Dora);
    let config = LoraConfig {
        method,
        targets: Targets::Names(targets.map(String::from)[..4 - skip].to_vec()),
        ..LoraConfig::default()
    };
    let plan = Plan::new(&config, &model.decoder.layer_infos().unwrap()).unwrap();
    let set = AdapterSet::fresh(&plan, &model.decoder.adaptable(), seed).unwrap();
    for (name, var) in set.parameters() {
        let values = normal(seed, &name, var.elem_count(), 0.3);
        let change = Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap();
        var.set(&(var.as_detached_tensor() + change).unwrap())
            .unwrap();
    }
    Arc::new(set)
}

#[test]
fn every_text_has_its_own_adapter() {
    let model = model();
    let [lora, dora] = [Method::Lora, Method::Dora].map(|method| adapter(&model, method, 3));
    let adapters = [None, Some(lora.clone()), Some(dora), Some(lora), None];
    let request = |i: usize| Request {
        max_tokens: 12,
        eos_token_ids: vec![],
        sampling: Sampling::default(),
        adapter: adapters[i].clone(),
        ..request(i as u32 % 3 + 1)
    };
    let mut engine = Engine::new(&model.decoder).with_prefill_tokens(9);
    let ids: Vec<_> = (0..5).map(|i| engine.insert(request(i)).unwrap()).collect();
    let mut steps = Steps::new();
    while !engine.is_empty() {
        run(&mut engine, &mut steps);
    }
    let mut texts = vec![];
    for (i, id) in ids.iter().enumerate() {
        assert_eq!(steps[id], alone(&model, request(i)), "text {i}");
        let base = Request {
            adapter: None,
            ..request(i)
        };
        texts.push(steps[id] == alone(&model, base));
    }
    assert_eq!(texts, [true, false, false, false, true], "adapters show");
}

/// Against log softmax in float64 of the logits that a pass over all tokens gives; penalties and biases change what is
/// chosen, not what the model said.
#[test]
fn log_probabilities_are_the_models_own() {
    let penalised = Sampling {
        presence_penalty: 25.0,
        ..Sampling::default()
    };
    let biased = vec![(7, 20.0)];
    let mut texts = vec![];
    for (sampling, logit_bias) in [
        (Sampling::default(), vec![]),
        (Sampling::default(), biased.clone()),
        (penalised, biased),
    ] {
        texts.push(check_log_probabilities(sampling, logit_bias));
    }
    texts.dedup();
    assert_eq!(texts.len(), 3, "biases and penalties do something");
}

/// Checks a text's log probabilities; gives its tokens.
fn check_log_probabilities(sampling: Sampling, logit_bias: Vec<(u32, f32)>) -> Vec<u32> {
    let model = model();
    let mut ids = vec![3, 1, 4, 1, 5];
    let request = Request {
        prompt: ids.clone(),
        max_tokens: 6,
        logprobs: Some(3),
        logit_bias,
        sampling,
        ..Request::default()
    };
    for step in alone(&model, request) {
        let Step::Token(token) = step else {
            break;
        };
        let layout = Layout::new(Arrangement::Packed, &[ids.len()]);
        let context = Context::inference(None);
        let logits = model.decoder.forward(&ids, &layout, &context).unwrap();
        let row: Vec<f32> = logits.flatten_all().unwrap().to_vec1().unwrap();
        let row = &row[row.len() - VOCABULARY as usize..];
        let total: f64 = row.iter().map(|&l| f64::from(l).exp()).sum();
        let right = |id: u32| f64::from(row[id as usize]) - total.ln();
        let logprobs = token.logprobs.unwrap();
        for (id, logprob) in [&[(token.id, logprobs.chosen)][..], &logprobs.top].concat() {
            assert!((f64::from(logprob) - right(id)).abs() < 1e-4, "{id}");
        }
        let mut order: Vec<u32> = (0..VOCABULARY).collect();
        order.sort_by(|a, b| right(*b).total_cmp(&right(*a)));
        let top: Vec<u32> = logprobs.top.iter().map(|(id, _)| *id).collect();
        assert_eq!(top, order[..3]);
        ids.push(token.id);
    }
    assert_eq!(ids.len(), 5 + 6);
    ids
}

#[test]
fn a_text_that_is_given_up_leaves_the_others_as_they_were() {
    let model = model();
    let mut engine = Engine::new(&model.decoder);
    let (first, second) = (request(4), request(6));
    let [given_up, kept] = [first, second.clone()].map(|r| engine.insert(r).unwrap());
    let mut steps = Steps::new();
    run(&mut engine, &mut steps);
    assert!(engine.remove(given_up));
    assert!(!engine.remove(given_up));
    while !engine.is_empty() {
        run(&mut engine, &mut steps);
    }
    assert_eq!(steps[&kept], alone(&model, second));
}

#[test]
fn a_step_takes_no_more_of_prompts_than_it_may() {
    let model = model();
    let mut engine = Engine::new(&model.decoder).with_prefill_tokens(10);
    engine.insert(request(9)).unwrap();
    engine.insert(request(3)).unwrap();
    for seen in [10, 20, 30, 40] {
        assert!(engine.step().unwrap().is_empty());
        let caches = engine.sequences.values().map(|s| s.cache.len());
        assert_eq!(caches.collect::<Vec<_>>(), [seen, 0]);
    }
    let chosen = engine.step().unwrap().len();
    assert_eq!(chosen, 1, "the last six of one prompt, four of the other");
}

#[test]
fn nothing_to_do_is_no_step() {
    let model = model();
    let mut engine = Engine::new(&model.decoder);
    assert!(engine.step().unwrap().is_empty());
    let none = Request {
        max_tokens: 0,
        ..request(1)
    };
    let id = engine.insert(none).unwrap();
    let steps = engine.step().unwrap();
    let end = Step::Finished(FinishReason::Length(Limit::MaxTokens));
    assert!(matches!(&steps[..], [(of, Ok(step))] if *of == id && *step == end));
    assert!(engine.is_empty());
}

#[test]
fn prompts_that_cannot_be_continued_are_refused() {
    let model = model();
    let mut engine = Engine::new(&model.decoder);
    let mut insert = |prompt: Vec<u32>| {
        let request = Request {
            prompt,
            ..request(0)
        };
        engine.insert(request)
    };
    assert!(matches!(insert(vec![]), Err(Error::EmptyPrompt)));
    assert!(matches!(
        insert(vec![1; MAX_TOKENS + 1]),
        Err(Error::TooLong {
            tokens: 81,
            limit: 80
        })
    ));
    assert!(matches!(
        insert(vec![VOCABULARY]),
        Err(Error::TokenOutOfRange { id: 40, .. })
    ));
    assert!(insert(vec![1; MAX_TOKENS]).is_ok());
}

/// One broken text does not end the others: a model whose weights are broken for one token only.
#[test]
fn logits_that_are_no_numbers_end_their_own_text_alone() {
    let mut model = model_with(false);
    for (path, matrix) in model.decoder.matrices_mut() {
        if path == "model.embed_tokens" {
            let mut rows: Vec<Vec<f32>> = matrix.tensor().unwrap().to_vec2().unwrap();
            rows[5][0] = f32::INFINITY;
            let broken = candle_core::Tensor::new(rows, &Device::Cpu).unwrap();
            *matrix = broken.into();
        }
    }
    let mut engine = Engine::new(&model.decoder);
    let request = |prompt| Request {
        prompt,
        max_tokens: 1,
        ..Request::default()
    };
    let broken = engine.insert(request(vec![5])).unwrap();
    engine.insert(request(vec![6])).unwrap();
    let steps = engine.step().unwrap();
    let error = steps.iter().find(|(id, _)| *id == broken).unwrap();
    assert!(matches!(error.1, Err(Error::NotFinite { what: "logits" })));
    assert!(!engine.remove(broken));
}
