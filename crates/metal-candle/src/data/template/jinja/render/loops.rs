//! Loops and the `loop` variable.

use std::collections::VecDeque;
use std::rc::Rc;

use super::super::ast::{Body, For, Name};
use super::super::error::{Error, Result};
use super::super::value::{Items, LoopId, Value, equal};
use super::{Args, Flow, Render};

/// A loop that runs.
pub(super) struct Loop<'t> {
    definition: &'t For,
    serial: u64,
    /// Scope the loop stands in.
    scope: usize,
    source: Rc<Items>,
    /// Items of `source` that were looked at.
    n_seen: usize,
    /// Items ahead of the current one that passed the filter already.
    ahead: VecDeque<Value>,
    before: Option<Value>,
    current: Option<Value>,
    index0: usize,
    depth0: usize,
    changed: Option<Vec<Value>>,
}

impl<'t> Render<'t> {
    pub(super) fn for_loop(&mut self, definition: &'t For) -> Result<()> {
        let iterable = self.value(&definition.iterable)?;
        self.run_loop(definition, &iterable, self.scopes.current(), 0)
    }

    fn run_loop(
        &mut self,
        definition: &'t For,
        iterable: &Value,
        scope: usize,
        depth0: usize,
    ) -> Result<()> {
        let source = self.iterate(iterable)?;
        let at = self.begin(definition, source, scope, depth0)?;
        let mut n = 0;
        while let Some(item) = self.next_item(at)? {
            self.turn(at, item, n);
            n += 1;
            if self.iteration(definition, at)? == Flow::Break {
                break;
            }
        }
        self.loops.truncate(at);
        match n {
            0 => self.in_scope(scope, &definition.otherwise),
            _ => Ok(()),
        }
    }

    fn begin(
        &mut self,
        definition: &'t For,
        source: Rc<Items>,
        scope: usize,
        depth0: usize,
    ) -> Result<usize> {
        self.enter()?;
        self.leave();
        self.serial += 1;
        self.loops.push(Loop {
            definition,
            serial: self.serial,
            scope,
            source,
            n_seen: 0,
            ahead: VecDeque::new(),
            before: None,
            current: None,
            index0: 0,
            depth0,
            changed: None,
        });
        Ok(self.loops.len() - 1)
    }

    fn turn(&mut self, at: usize, item: Value, index0: usize) {
        let this = &mut self.loops[at];
        this.before = this.current.replace(item);
        this.index0 = index0;
    }

    fn iteration(&mut self, definition: &'t For, at: usize) -> Result<Flow> {
        let this = &self.loops[at];
        let (scope, serial) = (this.scope, this.serial);
        let item = this.current.clone().unwrap_or(Value::None);
        let mark = self.scopes.push(scope, &self.budget)?;
        let id = Value::Loop(LoopId { at, serial });
        self.scopes.set(&Name::from("loop"), id, &self.budget)?;
        self.assign(&definition.target, item)?;
        let flow = self.body(&definition.body)?;
        self.scopes.pop(mark);
        Ok(flow)
    }

    fn in_scope(&mut self, scope: usize, body: &'t Body) -> Result<()> {
        let mark = self.scopes.push(scope, &self.budget)?;
        self.body(body)?;
        self.scopes.pop(mark);
        Ok(())
    }

    /// Takes the next item that passes the loop's filter.
    fn next_item(&mut self, at: usize) -> Result<Option<Value>> {
        match self.loops[at].ahead.pop_front() {
            Some(item) => Ok(Some(item)),
            None => self.pull(at),
        }
    }

    /// Finds the next item that passes the filter. Python looks no further ahead than it must: the
    /// filter may read what the loop's body sets.
    fn pull(&mut self, at: usize) -> Result<Option<Value>> {
        loop {
            self.budget.spend(1)?;
            let this = &mut self.loops[at];
            let Some(item) = this.source.values.get(this.n_seen).cloned() else {
                return Ok(None);
            };
            this.n_seen += 1;
            let (definition, scope) = (this.definition, this.scope);
            let Some(filter) = &definition.filter else {
                return Ok(Some(item));
            };
            let mark = self.scopes.push(scope, &self.budget)?;
            self.assign(&definition.target, item.clone())?;
            let passes = self.value(filter)?.is_true();
            self.scopes.pop(mark);
            if passes {
                return Ok(Some(item));
            }
        }
    }

    fn peek(&mut self, at: usize) -> Result<Option<Value>> {
        if self.loops[at].ahead.is_empty()
            && let Some(item) = self.pull(at)?
        {
            self.loops[at].ahead.push_back(item);
        }
        Ok(self.loops[at].ahead.front().cloned())
    }

    fn length(&mut self, at: usize) -> Result<usize> {
        if self.loops[at].definition.filter.is_none() {
            return Ok(self.loops[at].source.values.len());
        }
        while let Some(item) = self.pull(at)? {
            self.loops[at].ahead.push_back(item);
        }
        let this = &self.loops[at];
        Ok(this.index0 + 1 + this.ahead.len())
    }

    fn running(&self, id: LoopId) -> Result<usize> {
        match self.loops.get(id.at) {
            Some(this) if this.serial == id.serial => Ok(id.at),
            _ => Err(Error::unsupported("a loop variable after its loop")),
        }
    }

    /// Attribute of a `loop` variable; `None` if it is a method.
    pub(super) fn loop_attribute(&mut self, id: LoopId, name: &str) -> Result<Option<Value>> {
        let at = self.running(id)?;
        let (index0, depth0) = (self.loops[at].index0, self.loops[at].depth0);
        Ok(Some(match name {
            "index" => Value::count(index0 + 1),
            "index0" => Value::count(index0),
            "first" => Value::Bool(index0 == 0),
            "last" => Value::Bool(self.peek(at)?.is_none()),
            "length" => Value::count(self.length(at)?),
            "revindex" => Value::count(self.length(at)? - index0),
            "revindex0" => Value::count(self.length(at)? - index0 - 1),
            "depth" => Value::count(depth0 + 1),
            "depth0" => Value::count(depth0),
            "previtem" => {
                let before = self.loops[at].before.clone();
                before.unwrap_or_else(|| Value::undefined("previtem"))
            }
            "nextitem" => {
                let next = self.peek(at)?;
                next.unwrap_or_else(|| Value::undefined("nextitem"))
            }
            _ => return Ok(None),
        }))
    }

    pub(super) fn loop_length(&mut self, id: LoopId) -> Result<usize> {
        let at = self.running(id)?;
        self.length(at)
    }

    /// `loop.cycle(...)`, `loop.changed(...)`.
    pub(super) fn loop_method(&mut self, id: LoopId, name: &str, args: Args) -> Result<Value> {
        let at = self.running(id)?;
        let mut values = args.only_positional(name)?;
        match name {
            "cycle" if values.is_empty() => Err(Error::render("no items for cycling given")),
            "cycle" => {
                let index = self.loops[at].index0 % values.len();
                Ok(values.swap_remove(index))
            }
            "changed" => self.loop_changed(at, values),
            _ => Err(Error::unsupported(format!("loop.{name}"))),
        }
    }

    fn loop_changed(&mut self, at: usize, values: Vec<Value>) -> Result<Value> {
        let mut changed = true;
        if let Some(before) = &self.loops[at].changed {
            changed = before.len() != values.len();
            for (a, b) in before.iter().zip(&values) {
                changed = changed || !equal(a, b, &self.budget)?;
            }
        }
        if changed {
            self.loops[at].changed = Some(values);
        }
        Ok(Value::Bool(changed))
    }

    /// `loop(iterable)`: the loop once more, inside of itself.
    pub(super) fn loop_again(&mut self, id: LoopId, args: Args) -> Result<Value> {
        let at = self.running(id)?;
        let [iterable] = args.bind("loop", ["iterable"])?;
        let this = &self.loops[at];
        let (definition, scope, depth0) = (this.definition, this.scope, this.depth0);
        if !definition.recursive {
            let message = "The loop must have the 'recursive' marker to be called recursively.";
            return Err(Error::render(message));
        }
        let iterable = iterable.ok_or_else(|| Error::render("loop() needs an iterable"))?;
        self.enter()?;
        let (_, text) = self.captured(|render| {
            render.run_loop(definition, &iterable, scope, depth0 + 1)?;
            Ok(Flow::Next)
        })?;
        self.leave();
        Ok(Value::str(text))
    }
}
