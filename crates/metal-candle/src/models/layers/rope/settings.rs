use super::scaling::{Llama3, LongRope, Yarn};
use super::{Defaults, RopeConfig, Scaling};
use crate::models::config::fields::Fields;
use crate::models::json::{shown, shown_name};
use crate::models::layers::attention::Heads;
use crate::models::{Error, Result};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Settings of a rotary embedding as an object of a file has them.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    kind: Option<String>,
    truncate: Option<bool>,
    numbers: BTreeMap<&'static str, f64>,
    lists: BTreeMap<&'static str, Vec<f64>>,
}

/// Factors and lengths: positive, and far inside float32.
const POSITIVE: RangeInclusive<f64> = 1e-6..=1e30;

const THETA: &str = "rope_theta";
const PARTIAL: &str = "partial_rotary_factor";
const ORIGINAL: &str = "original_max_position_embeddings";
const HIGH: &str = "high_freq_factor";

/// Bases: from 1 on, so that no angle per position is above 1.
const THETAS: RangeInclusive<f64> = 1.0..=1e30;

/// Numbers.
const NUMBERS: [(&str, RangeInclusive<f64>); 11] = [
    (THETA, THETAS),
    (PARTIAL, 0.0..=1.0),
    ("factor", POSITIVE),
    ("low_freq_factor", POSITIVE),
    (HIGH, POSITIVE),
    (ORIGINAL, POSITIVE),
    ("attention_factor", 0.0..=1e6),
    ("beta_fast", POSITIVE),
    ("beta_slow", POSITIVE),
    ("mscale", 0.0..=1e6),
    ("mscale_all_dim", 0.0..=1e6),
];

const LISTS: [&str; 2] = ["short_factor", "long_factor"];

/// Fields that transformers ignores in every kind; those of `mrope` are about images.
const IGNORED: [&str; 3] = ["finetuned", "mrope_interleaved", "mrope_section"];

impl Settings {
    /// Takes the settings in the object `name`; what it has besides is an error.
    pub(super) fn take_object(fields: &mut Fields<'_>, name: &str) -> Result<Self> {
        match fields.object(name)? {
            Some(object) => Self::take_all(object),
            None => Ok(Self::default()),
        }
    }

    /// Takes all that `object` has.
    pub(super) fn take_all(mut object: Fields<'_>) -> Result<Self> {
        let (kind, older) = (object.text("rope_type")?, object.text("type")?);
        let names = ["rope_type", "type"].map(|name| object.full_name(name));
        let kind = object.one_of((&names[0], kind), (&names[1], older))?;
        let mut settings = Self {
            kind: kind.map(String::from),
            ..Self::default()
        };
        for (name, range) in NUMBERS {
            let number = object.number(name, range)?;
            settings.numbers.extend(number.map(|number| (name, number)));
        }
        for name in LISTS {
            let list = object.numbers(name, &POSITIVE)?;
            settings.lists.extend(list.map(|list| (name, list)));
        }
        if object.peek("truncate").is_some() {
            settings.truncate = Some(object.flag("truncate")?);
        }
        check_unknown(&object)?;
        Ok(settings)
    }

    /// Takes what stands beside the objects.
    pub(super) fn take_top(fields: &mut Fields<'_>) -> Result<Self> {
        let mut settings = Self::default();
        for (name, range) in NUMBERS {
            if [THETA, PARTIAL, ORIGINAL].contains(&name) {
                let number = fields.number(name, range)?;
                settings.numbers.extend(number.map(|number| (name, number)));
            }
        }
        Ok(settings)
    }

    /// Settings with a base that the file has under another name too.
    pub(super) fn with_theta(
        mut self,
        fields: &mut Fields<'_>,
        ours: &str,
        name: &str,
    ) -> Result<Self> {
        let other = fields.number(name, THETAS)?;
        let ours = format!("{ours}{THETA}");
        let theta = fields.one_of((&ours, self.number(THETA)), (name, other))?;
        self.numbers.extend(theta.map(|theta| (THETA, theta)));
        Ok(self)
    }

    /// Settings of both; what both have must be equal.
    pub(super) fn merged(
        mut self,
        fields: &Fields<'_>,
        ours: &str,
        other: Self,
        theirs: &str,
    ) -> Result<Self> {
        let full = |name: &str| (format!("{ours}{name}"), format!("{theirs}{name}"));
        for (name, number) in other.numbers {
            let (first, second) = full(name);
            let held = self.numbers.get(name).copied();
            fields.one_of((&first, held), (&second, Some(number)))?;
            self.numbers.insert(name, number);
        }
        for (name, list) in other.lists {
            let (first, second) = full(name);
            let held = self.lists.remove(name);
            let both = fields.one_of((&first, held), (&second, Some(list)))?;
            self.lists.extend(both.map(|list| (name, list)));
        }
        let (first, second) = full("rope_type");
        self.kind = fields.one_of((&first, self.kind), (&second, other.kind))?;
        let (first, second) = full("truncate");
        self.truncate = fields.one_of((&first, self.truncate), (&second, other.truncate))?;
        Ok(self)
    }

    /// Embedding of a model of `max_tokens`.
    pub(super) fn config(
        self,
        defaults: Defaults,
        heads: Heads,
        max_tokens: usize,
    ) -> Result<RopeConfig> {
        let n_pairs = self.n_pairs(heads, defaults)?;
        Ok(RopeConfig {
            theta: self.number(THETA).unwrap_or(defaults.theta),
            n_pairs,
            scaling: self.scaling(n_pairs, max_tokens)?,
        })
    }

    fn n_pairs(&self, heads: Heads, defaults: Defaults) -> Result<usize> {
        let given = self.number(PARTIAL);
        let n_pairs = match (given, defaults.partial) {
            (None | Some(1.0), None) => heads.width / 2,
            (Some(given), None) => {
                let reason = "models of this type rotate heads whole";
                return Err(Error::unsupported(PARTIAL, given, reason));
            }
            (given, Some(default)) => {
                let partial = given.unwrap_or(default);
                ((heads.width as f64 * partial) as usize).div_ceil(2)
            }
        };
        match n_pairs {
            0 => Err(Error::unsupported(PARTIAL, 0, "nothing would be rotated")),
            n_pairs => Ok(n_pairs),
        }
    }

    fn scaling(&self, n_pairs: usize, max_tokens: usize) -> Result<Scaling> {
        let kind = self.kind.as_deref().unwrap_or("default");
        match kind {
            "default" => Ok(Scaling::None),
            "linear" => Ok(
                match self.needed("factor", "linear rope scaling needs it")? {
                    1.0 => Scaling::None,
                    factor => Scaling::Linear { factor },
                },
            ),
            "llama3" => self.llama3(max_tokens).map(Scaling::Llama3),
            // The first Phi-3 files call their lists yarn.
            "yarn" if self.lists.is_empty() => Ok(Scaling::Yarn(self.yarn(max_tokens))),
            "longrope" | "su" | "yarn" => {
                self.long_rope(n_pairs, max_tokens).map(Scaling::LongRope)
            }
            kind => Err(Error::unsupported(
                "rope_type",
                shown_name(kind),
                "rope scalings that are built: default, linear, llama3, yarn, longrope",
            )),
        }
    }

    fn llama3(&self, max_tokens: usize) -> Result<Llama3> {
        let needed = |name| self.needed(name, "llama3 scaling needs it");
        let scaling = Llama3 {
            factor: needed("factor")?,
            low: needed("low_freq_factor")?,
            high: needed(HIGH)?,
            original: self.original(max_tokens),
        };
        match scaling.low <= scaling.high {
            true => Ok(scaling),
            false => Err(Error::unsupported(
                HIGH,
                scaling.high,
                "must not be below low_freq_factor",
            )),
        }
    }

    fn yarn(&self, max_tokens: usize) -> Yarn {
        let original = self.original(max_tokens);
        let factor = self.number("factor");
        // Zero is no setting, as in transformers.
        let set = |name| self.number(name).filter(|number| *number != 0.0);
        Yarn {
            factor: factor.unwrap_or(max_tokens as f64 / original),
            original,
            beta_fast: set("beta_fast").unwrap_or(32.0),
            beta_slow: set("beta_slow").unwrap_or(1.0),
            truncate: self.truncate.unwrap_or(true),
            attention_factor: self.number("attention_factor"),
            mscale: set("mscale").zip(set("mscale_all_dim")),
        }
    }

    fn long_rope(&self, n_pairs: usize, max_tokens: usize) -> Result<LongRope> {
        let list = |name: &'static str| match self.lists.get(name) {
            Some(list) if list.len() == n_pairs => Ok(list.clone()),
            list => Err(Error::unsupported(
                name,
                list.map_or("absent".into(), |list| format!("{} numbers", list.len())),
                "longrope scaling needs one for each pair that is rotated",
            )),
        };
        let original = self.original(max_tokens);
        let factor = self.number("factor");
        Ok(LongRope {
            short: list("short_factor")?,
            long: list("long_factor")?,
            original,
            factor: factor.unwrap_or(max_tokens as f64 / original),
            attention_factor: self.number("attention_factor"),
        })
    }

    /// Length of the pre-training: the model's where a scaling does not name it, as in transformers 5.
    fn original(&self, max_tokens: usize) -> f64 {
        self.number(ORIGINAL).unwrap_or(max_tokens as f64)
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.numbers.get(name).copied()
    }

    fn needed(&self, name: &'static str, reason: &'static str) -> Result<f64> {
        let absent = || Error::unsupported(name, "absent", reason);
        self.number(name).ok_or_else(absent)
    }
}

/// Check that nothing is left of `object` that may change the result.
pub(super) fn check_unknown(object: &Fields<'_>) -> Result<()> {
    let unknown = object.untaken().filter(|(name, _)| !IGNORED.contains(name));
    let told = unknown.map(|(field, value)| {
        let field = object.full_name(&shown_name(field));
        format!("{field} = {}", shown(value))
    });
    let fields: Vec<String> = told.collect();
    match fields.is_empty() {
        true => Ok(()),
        false => Err(Error::UnknownFields {
            path: object.path().to_path_buf(),
            fields,
        }),
    }
}
