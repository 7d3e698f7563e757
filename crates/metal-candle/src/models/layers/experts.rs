use super::mlp::{Mlp, MlpKind};
use super::visit;
use crate::lora::{Context, Linear};
use crate::models::Result;
use crate::models::config::fields::Fields;
use crate::models::scope::Scope;
use candle_core::Tensor;
use metal_candle_kernels::tape::{add, reshape};
use metal_candle_kernels::{Assignment, Routing, SoftmaxOver, combine, dispatch, routing};

/// Part of the path of every expert.
pub(in crate::models) const EXPERTS: &str = "experts";

/// Kind of a mixture of experts.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) struct ExpertsKind {
    pub(in crate::models) n_experts: usize,
    /// Experts of a token.
    pub(in crate::models) per_token: usize,
    /// Experts that the router's softmax goes over.
    pub(in crate::models) softmax: SoftmaxOver,
    pub(in crate::models) router: RouterKind,
    pub(in crate::models) expert: MlpKind,
}

/// Kind of a router.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) struct RouterKind {
    pub(in crate::models) name: &'static str,
    pub(in crate::models) bias: bool,
}

impl RouterKind {
    /// Router of most families.
    pub(in crate::models) const GATE: Self = Self {
        name: "gate",
        bias: false,
    };
}

impl ExpertsKind {
    /// Takes the numbers of experts, of which `default` are a token's.
    pub(in crate::models) fn take(
        fields: &mut Fields<'_>,
        default: usize,
        softmax: SoftmaxOver,
        expert: MlpKind,
    ) -> Result<Self> {
        let (here, there) = ("num_experts", "num_local_experts");
        let spellings = ((here, fields.size(here)?), (there, fields.size(there)?));
        let n_experts = fields.one_of(spellings.0, spellings.1)?;
        let n_experts = fields.required(here, n_experts)?;
        let per_token = fields.size("num_experts_per_tok")?.unwrap_or(default);
        if per_token > n_experts {
            let expected = format!("at most the number of experts, {n_experts}");
            return Err(fields.wrong("num_experts_per_tok", expected, per_token));
        }
        // Of a second loss, which is refused.
        fields.take("router_aux_loss_coef");
        Ok(Self {
            n_experts,
            per_token,
            softmax,
            router: RouterKind::GATE,
            expert,
        })
    }
}

/// A mixture of experts: a router chooses some for each token, and their results are added up with its weights.
#[derive(Debug)]
pub(in crate::models) struct Experts {
    router: Linear,
    experts: Vec<Mlp>,
    per_token: usize,
    softmax: SoftmaxOver,
}

visit!(Experts: router, experts);

impl Experts {
    /// Takes the router and the experts from below `at`, of a model whose hidden state has width `d`.
    pub(in crate::models) fn load(at: &Scope<'_>, d: usize, kind: ExpertsKind) -> Result<Self> {
        let experts = at.below(EXPERTS);
        let experts = (0..kind.n_experts)
            .map(|expert| Mlp::load(&experts.below(&expert.to_string()), d, kind.expert));
        let RouterKind { name, bias } = kind.router;
        Ok(Self {
            router: at.linear(name, (kind.n_experts, d), bias)?,
            experts: experts.collect::<Result<_>>()?,
            per_token: kind.per_token,
            softmax: kind.softmax,
        })
    }

    /// `(B, T, D)` -> `(B, T, D)`.
    pub(super) fn forward(&self, x: &Tensor, context: &Context) -> Result<Tensor> {
        let (batch, tokens, d) = x.dims3()?;
        let logits = self.router.forward(x, context)?;
        let logits = reshape(&logits, (batch * tokens, self.experts.len()))?;
        let Routing { chosen, weights } = routing(&logits, self.per_token, self.softmax)?;
        let n_experts = self.experts.len();
        let assignment = Assignment::new(&chosen, self.per_token, n_experts, x.device())?;
        let rows = dispatch(&reshape(x, (batch * tokens, d))?, &assignment)?;
        let results = assignment.used().zip(rows).map(|((expert, tokens), rows)| {
            let rows = reshape(&rows, (1, tokens.len(), d))?;
            let fed = self.experts[expert].forward(&rows, &context.at(tokens))?;
            Ok(reshape(&fed, (tokens.len(), d))?)
        });
        let results: Vec<Tensor> = results.collect::<Result<_>>()?;
        let y = combine(&results, &weights, &assignment)?;
        Ok(reshape(&y, (batch, tokens, d))?)
    }
}

/// The layer of a block behind its attention.
#[derive(Debug)]
pub(in crate::models) enum FeedForward {
    /// One for all tokens.
    Mlp(Mlp),
    /// Some of many for each token.
    Experts(Experts),
}

impl FeedForward {
    /// `(B, T, D)` -> `(B, T, D)`.
    pub(super) fn forward(&self, x: &Tensor, context: &Context) -> Result<Tensor> {
        match self {
            Self::Mlp(mlp) => mlp.forward(x, context),
            Self::Experts(experts) => experts.forward(x, context),
        }
    }

    /// [`Self::forward`], added to `residual`.
    pub(super) fn forward_onto(
        &self,
        residual: &Tensor,
        x: &Tensor,
        context: &Context,
    ) -> Result<Tensor> {
        match self {
            Self::Mlp(mlp) => mlp.forward_onto(residual, x, context),
            Self::Experts(experts) => Ok(add(residual, &experts.forward(x, context)?)?),
        }
    }
}

impl super::Visit for FeedForward {
    fn visit<'a>(&'a self, to: &mut dyn FnMut(super::Part<'a>)) {
        match self {
            Self::Mlp(mlp) => mlp.visit(to),
            Self::Experts(experts) => experts.visit(to),
        }
    }

    fn visit_mut<'a>(&'a mut self, to: &mut dyn FnMut(super::PartMut<'a>)) {
        match self {
            Self::Mlp(mlp) => mlp.visit_mut(to),
            Self::Experts(experts) => experts.visit_mut(to),
        }
    }
}
