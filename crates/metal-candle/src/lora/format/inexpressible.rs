/// Setting that a format has no way to say.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Inexpressible {
    /// A weight that is trained as a whole.
    #[error("{path}: a whole weight (modules_to_save)")]
    Whole {
        /// Path of the layer.
        path: String,
    },
    /// Rows of some tokens that are trained alone.
    #[error("{path}: rows of tokens (trainable_token_indices)")]
    Tokens {
        /// Path of the layer.
        path: String,
    },
    /// A method that the tool does not have.
    #[error("{path}: the method {method}")]
    Method {
        /// Path of the layer.
        path: String,
        /// Name of the method.
        method: &'static str,
    },
    /// DoRA on an embedding, whose columns PEFT scales and whose rows mlx-lm scales.
    #[error("{path}: DoRA of an embedding, which PEFT has by columns and mlx-lm by rows")]
    DoraOfEmbedding {
        /// Path of the embedding.
        path: String,
    },
    /// Ranks that differ, where all layers have one.
    #[error("ranks that differ: {ranks:?}")]
    Ranks {
        /// Each rank that there is.
        ranks: Vec<usize>,
    },
    /// A factor of the update that differs from that of other layers by no power of two.
    #[error("{path}: scale {scale} beside {others} on other layers")]
    Scale {
        /// Path of the layer.
        path: String,
        /// Its factor.
        scale: f64,
        /// Value of most layers.
        others: f64,
    },
    /// An adapter of a token embedding that is the output head, or of that head.
    #[error("{path}: the token embedding is the output head")]
    TiedEnd {
        /// Path of the layer.
        path: String,
    },
    /// A family of which no file is written for the tool.
    #[error("models of type {model_type}: there is no way to write them that is built")]
    Architecture {
        /// Name of the family in a configuration.
        model_type: String,
    },
    /// Experts, or their router, that the tool has as tensors and not as layers.
    #[error(
        "{path}: no layer there, and as a part of all experts (target_parameters) it is not written"
    )]
    Experts {
        /// Path of the first layer.
        path: String,
    },
    /// A layer of a family that the tool does not have.
    #[error("{path}: no such layer is known there")]
    Nameless {
        /// Path of the layer.
        path: String,
    },
    /// Adapters of some of the experts that the tool has together.
    #[error("{path}: some experts have an adapter, and others none")]
    SomeExperts {
        /// Path of all of them.
        path: String,
    },
    /// An adapter of one of two ends that are one matrix.
    #[error("{path}: the token embedding is the output head, and only one of them is adapted")]
    OneEnd {
        /// Path of the layer.
        path: String,
    },
}
