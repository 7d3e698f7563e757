//! Syntax tree of a template.
//!
//! Chains of any length (`a + b + c`, `x.y.z`, `x | f | g`, `not not x`) are flat, so that the depth
//! of the tree is the nesting of the source, which is bounded.

use std::sync::Arc;

/// Name of a variable, attribute, filter or test.
pub(super) type Name = Arc<str>;

/// Value written in the source. Unlike a value of a rendering it can be shared by threads.
#[derive(Debug, Clone)]
pub(super) enum Literal {
    None,
    Bool(bool),
    Int(i128),
    /// Integer beyond 128 bits.
    Digits(Name),
    Float(f64),
    Str(Name),
}

#[derive(Debug)]
pub(super) enum Expr {
    Literal(Literal),
    Name(Name),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    Or(Vec<Expr>),
    And(Vec<Expr>),
    /// Truth of an expression, turned over if `odd`.
    Not {
        odd: bool,
        of: Box<Expr>,
    },
    Compare(Box<Expr>, Vec<(Comparison, Expr)>),
    Arithmetic(Box<Expr>, Vec<(Operator, Expr)>),
    Concat(Vec<Expr>),
    /// Signs in the order of the source; `true` is minus.
    Signed(Vec<bool>, Box<Expr>),
    Conditional(Box<Conditional>),
    Chain(Box<Expr>, Vec<Link>),
}

#[derive(Debug)]
pub(super) struct Conditional {
    pub(super) test: Expr,
    pub(super) then: Expr,
    pub(super) otherwise: Option<Expr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    NotIn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Mod,
    Pow,
}

/// Link that follows an expression.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) line: usize,
    pub(super) kind: LinkKind,
}

#[derive(Debug)]
pub(super) enum LinkKind {
    Attribute(Name),
    Item(Expr),
    Slice(Box<[Option<Expr>; 3]>),
    Call(Arguments),
    Filter(Name, Arguments),
    Test {
        name: Name,
        arguments: Arguments,
        negated: bool,
    },
}

#[derive(Debug, Default)]
pub(super) struct Arguments {
    pub(super) positional: Vec<Expr>,
    pub(super) named: Vec<(Name, Expr)>,
    pub(super) star: Option<Box<Expr>>,
    pub(super) double_star: Option<Box<Expr>>,
}

#[derive(Debug)]
pub(super) struct Statement {
    pub(super) line: usize,
    pub(super) kind: StatementKind,
}

pub(super) type Body = Vec<Statement>;

#[derive(Debug)]
pub(super) enum StatementKind {
    Text(Name),
    Print(Vec<Expr>),
    If(Vec<(Expr, Body)>, Body),
    For(Box<For>),
    Set(Target, Expr),
    SetBlock(Target, Vec<Link>, Body),
    With(Vec<(Target, Expr)>, Body),
    Macro(Box<Macro>),
    /// `{% call %}`: the body as a macro, and the call that is given it.
    Call(Box<Macro>, Box<Expr>),
    FilterBlock(Vec<Link>, Body),
    /// `{% generation %}`: what the assistant wrote. Only its scope matters.
    Generation(Body),
    Break,
    Continue,
}

#[derive(Debug)]
pub(super) struct For {
    pub(super) target: Target,
    pub(super) iterable: Expr,
    pub(super) filter: Option<Expr>,
    pub(super) recursive: bool,
    pub(super) body: Body,
    pub(super) otherwise: Body,
}

#[derive(Debug)]
pub(super) struct Macro {
    pub(super) name: Name,
    pub(super) parameters: Vec<(Name, Option<Expr>)>,
    pub(super) body: Body,
    /// Whether the body reads `caller`, `varargs`, `kwargs`: only then they may be given.
    pub(super) reads: Reads,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reads {
    pub(super) caller: bool,
    pub(super) varargs: bool,
    pub(super) kwargs: bool,
}

/// Target of an assignment.
#[derive(Debug)]
pub(super) enum Target {
    Name(Name),
    /// Attribute of a namespace.
    Attribute(Name, Name),
    Tuple(Vec<Target>),
}
