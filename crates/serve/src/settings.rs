/// Settings of a server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Texts that are generated at once.
    pub concurrency: usize,
    /// Texts that may wait for their turn; requests beyond are refused with 503.
    pub queue: usize,
    /// Prompt tokens of a pass at most.
    pub prefill_tokens: usize,
    /// Origins of web pages that may ask; `*` for all.
    pub allowed_origins: Vec<String>,
    /// Key that requests must carry.
    pub api_key: Option<String>,
    /// Most tokens of an answer whose request says nothing.
    pub max_tokens: usize,
    /// Temperature of such a request.
    pub temperature: f32,
    /// `top_p` of such a request.
    pub top_p: f32,
    /// `top_k` of such a request.
    pub top_k: usize,
    /// `min_p` of such a request.
    pub min_p: f32,
}

impl Default for Settings {
    /// Settings of `mlx_lm.server`, with room for 128 waiting texts.
    fn default() -> Self {
        Self {
            concurrency: 32,
            queue: 128,
            prefill_tokens: 2048,
            allowed_origins: vec!["*".into()],
            api_key: None,
            max_tokens: 512,
            temperature: 0.0,
            top_p: 1.0,
            top_k: 0,
            min_p: 0.0,
        }
    }
}
