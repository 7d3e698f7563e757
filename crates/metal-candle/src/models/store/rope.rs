//! Rotary settings in mlx-lm's words: it reads those of transformers 4, and of the file of a newer one takes its own defaults.

use serde_json::{Map, Value};

const PARAMETERS: &str = "rope_parameters";

/// Adds what `rope_parameters` says under the names that mlx-lm reads, where these say nothing.
pub(super) fn add_old_names(config: &mut Map<String, Value>) {
    let Some(Value::Object(parameters)) = config.get(PARAMETERS) else {
        return;
    };
    let of_kind = |kind: &str| parameters.get(kind).and_then(Value::as_object);
    let all = of_kind("full_attention").unwrap_or(parameters);
    let local = of_kind("sliding_attention").and_then(|local| local.get("rope_theta"));
    let said = |name: &str| all.get(name).cloned();
    let added = [
        ("rope_theta", said("rope_theta")),
        ("partial_rotary_factor", said("partial_rotary_factor")),
        ("rope_scaling", scaling(all)),
        (
            "rope_local_base_freq",
            local
                .filter(|theta| said("rope_theta").as_ref() != Some(*theta))
                .cloned(),
        ),
    ];
    for (name, value) in added {
        let is_said = config.get(name).is_some_and(|said| !said.is_null());
        if let Some(value) = value.filter(|_| !is_said) {
            config.insert(name.into(), value);
        }
    }
}

/// Settings of a scaling, whose kind some of mlx-lm's models call its type; `None` where angles are as they are.
fn scaling(all: &Map<String, Value>) -> Option<Value> {
    let kind = all.get("rope_type").or_else(|| all.get("type"))?;
    if kind == "default" {
        return None;
    }
    let mut scaling = all.clone();
    for name in ["rope_theta", "partial_rotary_factor"] {
        scaling.shift_remove(name);
    }
    for name in ["type", "rope_type"] {
        scaling.insert(name.into(), kind.clone());
    }
    Some(scaling.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn added(config: Value) -> Value {
        let Value::Object(mut config) = config else {
            panic!("an object");
        };
        add_old_names(&mut config);
        config.shift_remove(PARAMETERS);
        config.into()
    }

    #[test]
    fn settings_get_the_names_of_mlx_lm() {
        let llama = json!({"rope_parameters": {
            "rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0,
        }});
        let scaling =
            json!({"rope_type": "llama3", "type": "llama3", "factor": 8.0, "low_freq_factor": 1.0});
        assert_eq!(
            added(llama),
            json!({"rope_theta": 5e5, "rope_scaling": scaling})
        );
        let gemma = json!({"rope_parameters": {
            "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
        }});
        let scaling = json!({"rope_type": "linear", "type": "linear", "factor": 8.0});
        let expected =
            json!({"rope_theta": 1e6, "rope_scaling": scaling, "rope_local_base_freq": 1e4});
        assert_eq!(added(gemma), expected);
        let partial = json!({"rope_parameters": {
            "rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5,
        }});
        let expected = json!({"rope_theta": 1e4, "partial_rotary_factor": 0.5});
        assert_eq!(added(partial), expected);
    }

    #[test]
    fn what_is_said_already_stays() {
        let said = json!({"rope_theta": 7, "rope_scaling": {"type": "linear", "factor": 2.0}});
        assert_eq!(added(said.clone()), said);
        let mut both = said.clone();
        both[PARAMETERS] = json!({"rope_type": "default", "rope_theta": 7});
        assert_eq!(added(both), said);
        let one = json!({"rope_theta": null, "rope_parameters": {"rope_type": "default", "rope_theta": 7}});
        assert_eq!(added(one), json!({"rope_theta": 7}));
    }
}
