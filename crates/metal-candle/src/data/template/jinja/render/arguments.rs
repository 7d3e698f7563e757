//! Arguments of a call, and how they meet parameters.

use super::super::ast::{Arguments, Name};
use super::super::error::{Error, Result};
use super::super::value::Value;
use super::Render;

/// Evaluated arguments.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Args {
    pub(in super::super) positional: Vec<Value>,
    pub(in super::super) named: Vec<(Name, Value)>,
}

impl Args {
    /// One slot for each of `names`, filled by position and then by name.
    ///
    /// # Errors
    /// For an argument too many, an unknown name, or a parameter given twice.
    pub(in super::super) fn bind<const N: usize>(
        self,
        function: &str,
        names: [&str; N],
    ) -> Result<[Option<Value>; N]> {
        let mut slots = [const { None }; N];
        if self.positional.len() > N {
            let got = self.positional.len();
            let message = format!("{function}() takes at most {N} arguments, got {got}");
            return Err(Error::render(message));
        }
        for (slot, value) in slots.iter_mut().zip(self.positional) {
            *slot = Some(value);
        }
        for (name, value) in self.named {
            let at = names.iter().position(|other| **other == *name);
            let Some(slot) = at.map(|at| &mut slots[at]) else {
                let message = format!("{function}() got an unexpected keyword argument '{name}'");
                return Err(Error::render(message));
            };
            if slot.replace(value).is_some() {
                let message = format!("{function}() got two values for the argument '{name}'");
                return Err(Error::render(message));
            }
        }
        Ok(slots)
    }

    /// Arguments of a function of Python that knows no names.
    pub(in super::super) fn bind_positional<const N: usize>(
        self,
        function: &str,
    ) -> Result<[Option<Value>; N]> {
        let positional = self.only_positional(function)?;
        let named = Vec::new();
        Self { positional, named }.bind(function, [""; N])
    }

    pub(in super::super) fn only_positional(self, function: &str) -> Result<Vec<Value>> {
        match self.named.first() {
            None => Ok(self.positional),
            Some(_) => Err(Error::render(format!(
                "{function}() takes no keyword arguments"
            ))),
        }
    }

    pub(in super::super) fn none(self, function: &str) -> Result<()> {
        let [] = self.bind(function, [])?;
        Ok(())
    }

    /// The first positional argument apart from the others.
    pub(in super::super) fn split_first(&mut self) -> Option<Value> {
        match self.positional.is_empty() {
            true => None,
            false => Some(self.positional.remove(0)),
        }
    }
}

impl<'t> Render<'t> {
    pub(super) fn args(&mut self, arguments: &'t Arguments) -> Result<Args> {
        let mut args = Args::default();
        for value in &arguments.positional {
            args.positional.push(self.value(value)?);
        }
        for (name, value) in &arguments.named {
            args.named.push((name.clone(), self.value(value)?));
        }
        if let Some(star) = &arguments.star {
            let star = self.value(star)?;
            args.positional
                .extend(self.iterate(&star)?.values.iter().cloned());
        }
        if let Some(stars) = &arguments.double_star {
            let stars = self.value(stars)?;
            self.add_named(&mut args, &stars)?;
        }
        self.budget
            .items(args.positional.len() + args.named.len())?;
        Ok(args)
    }

    fn add_named(&self, args: &mut Args, stars: &Value) -> Result<()> {
        let Value::Dict(dict) = stars else {
            let got = stars.type_name();
            return Err(Error::render(format!(
                "argument after ** must be a mapping, not {got}"
            )));
        };
        for (name, value) in &dict.entries {
            let Value::Str(name) = name else {
                return Err(Error::render("keywords must be strings"));
            };
            if args.named.iter().any(|(other, _)| *other == name.text) {
                let message = format!("got multiple values for keyword argument '{}'", name.text);
                return Err(Error::render(message));
            }
            self.budget.spend(args.named.len())?;
            args.named.push((name.text.clone(), value.clone()));
        }
        Ok(())
    }
}
