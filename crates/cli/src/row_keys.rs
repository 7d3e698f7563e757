use metal_candle::data::Keys;

/// Columns of rows, in place of those that are looked for.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Columns")]
pub struct RowKeys {
    /// Column of what is given; dots lead into objects and lists: messages.0.content
    #[arg(long, value_name = "COLUMN")]
    pub prompt_key: Option<String>,
    /// Column of what is to be learnt; of preference data "chosen" trains the better answers
    #[arg(long, value_name = "COLUMN")]
    pub completion_key: Option<String>,
    /// Column of conversations
    #[arg(long, value_name = "COLUMN")]
    pub chat_key: Option<String>,
    /// Column of plain text
    #[arg(long, value_name = "COLUMN")]
    pub text_key: Option<String>,
}

impl RowKeys {
    /// The columns as the library takes them.
    pub fn keys(&self) -> Keys {
        Keys {
            prompt: self.prompt_key.clone(),
            completion: self.completion_key.clone(),
            chat: self.chat_key.clone(),
            text: self.text_key.clone(),
        }
    }
}
