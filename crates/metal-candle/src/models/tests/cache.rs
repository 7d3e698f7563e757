//! A cache that runs out of room.

use super::*;

#[test]
fn a_sequence_outgrows_a_cache_whose_keys_have_other_angles() {
    let config = json!({
        "model_type": "phi3", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1,
        "num_attention_heads": 4, "rms_norm_eps": 1e-6, "vocab_size": 40, "max_position_embeddings": 64,
        "rope_scaling": {
            "type": "su", "original_max_position_embeddings": 5,
            "short_factor": [1.0, 1.1], "long_factor": [1.0, 8.0],
        },
    });
    let decoder = Model::random(config, 5, &Device::Cpu).unwrap().decoder;
    let mut cache = decoder.cache(CacheForm::Contiguous);
    decode(&decoder, &mut cache, 5).unwrap();
    let error = decode(&decoder, &mut cache, 1).unwrap_err();
    assert!(
        matches!(error, Error::Outgrown { tokens: 6, held: 5 }),
        "{error}"
    );
    decoder.expect(&mut cache, 6).unwrap();
    assert!(cache.is_empty());
    decode(&decoder, &mut cache, 1).unwrap();
    decode(&decoder, &mut cache, 5).unwrap();
    assert_eq!(cache.len(), 6);
}

/// Passes `n` new tokens of a sequence.
fn decode(decoder: &Decoder, cache: &mut KvCache, n: usize) -> Result<Tensor> {
    let span = Span {
        sequence: 0,
        start: cache.len(),
        len: n,
    };
    let layout = Layout::ragged(vec![span]);
    decoder.decode(
        &vec![1; n],
        &layout,
        &Context::default(),
        &mut [cache],
        &[0],
    )
}
