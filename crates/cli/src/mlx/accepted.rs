//! Foreign options beside a command's own, for clap: hidden from its help, refused where their value is read.

use super::foreign::{Foreign, Refusal};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, Error, FromArgMatches};
use std::marker::PhantomData;

/// Program of mlx-lm's.
pub trait Program {
    /// Its options that are none of ours.
    const FOREIGN: &'static [Foreign];
}

/// Foreign options of the program `P` that were given, to be flattened into the options of a command.
#[derive(Debug)]
pub struct Accepted<P> {
    given: Vec<&'static Foreign>,
    program: PhantomData<P>,
}

impl<P: Program> Accepted<P> {
    /// Tells which of them change nothing.
    pub fn tell(&self) {
        for foreign in &self.given {
            foreign.tell(&format!("--{}", foreign.name));
        }
    }
}

impl<P: Program> clap::Args for Accepted<P> {
    fn augment_args(command: Command) -> Command {
        command.args(P::FOREIGN.iter().map(arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<P: Program> FromArgMatches for Accepted<P> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let is_given = |foreign: &&Foreign| {
            matches.value_source(foreign.name) == Some(ValueSource::CommandLine)
        };
        Ok(Self {
            given: P::FOREIGN.iter().filter(is_given).collect(),
            program: PhantomData,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn arg(foreign: &'static Foreign) -> Arg {
    let arg = Arg::new(foreign.name)
        .long(foreign.name)
        .hide(true)
        .value_parser(move |value: &str| -> Result<String, Refusal> {
            foreign.check(value).map(|()| value.to_string())
        });
    match foreign.values {
        // A switch whose value is read, so that it can be refused.
        0 => arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
        1 => arg,
        _ => arg.num_args(1..),
    }
}
