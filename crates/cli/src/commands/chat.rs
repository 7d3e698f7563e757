use super::Context;
use super::generate::{Generated, SamplingOptions, answer_of, message};
use crate::cache_options::CacheOptions;
use crate::device::DeviceArgs;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::load_options::LoadOptions;
use crate::loading;
use crate::mlx::{self, Accepted};
use crate::terminal::Terminal;
use metal_candle::LanguageModel;
use metal_candle::data::Message;
use metal_candle::generate::{Limit, Request};
use metal_candle::lora::AdapterSet;
use std::io::BufRead;
use std::path::PathBuf;
use std::sync::Arc;

const EXAMPLES: &str = "\
Examples:
  metal-candle chat --model Qwen/Qwen3-0.6B
  metal-candle chat --model ./model --adapter-path adapters --system-prompt \"Be brief.\" --temp 0.7

Each line of standard input is a message. A line with q alone ends the conversation, r begins a new
one, h tells this.";

/// Talk with a model, with or without an adapter
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder, GGUF file or Hugging Face id of the model
    #[arg(long, value_name = "MODEL")]
    pub model: String,
    /// Folder of an adapter of PEFT or mlx-lm
    #[arg(long, value_name = "PATH")]
    pub adapter_path: Option<PathBuf>,
    /// What the chat template puts before the conversation
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub system_prompt: Option<String>,
    /// Most tokens of an answer
    #[arg(short, long, value_name = "N", default_value_t = 256)]
    pub max_tokens: usize,
    #[command(flatten)]
    pub weights: LoadOptions,
    #[command(flatten)]
    pub cache: CacheOptions,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub sampling: SamplingOptions,
    #[command(flatten)]
    pub mlx: Accepted<mlx::Chat>,
}

/// A conversation that goes on.
struct Talk<'a> {
    args: &'a Args,
    loaded: LanguageModel,
    adapter: Option<Arc<AdapterSet>>,
    terminal: &'a Terminal,
    messages: Vec<Message>,
}

/// Answers line after line.
///
/// # Errors
/// When something that was given cannot be used, the tokenizer has no chat template, or the model fails.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    let terminal = &context.terminal;
    let mut talk = Talk::begin(&args, terminal)?;
    terminal.say("A line with q alone ends the conversation, r begins a new one, h tells this");
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|source| {
            Error::input(format!("cannot read standard input: {source}"))
                .with_advice("messages are lines of UTF-8")
        })?;
        match line.trim() {
            "" => {}
            "q" => break,
            "r" => talk.reset(),
            "h" => terminal.say(EXAMPLES),
            message => talk.answer(message)?,
        }
    }
    Ok(Exit::Done)
}

impl<'a> Talk<'a> {
    fn begin(args: &'a Args, terminal: &'a Terminal) -> Result<Self> {
        let path = args.adapter_path.as_deref();
        let loaded = loading::load_for(
            (&args.model, path),
            args.weights,
            &args.device.open()?,
            terminal,
        )?;
        if !loaded.tokenizer.has_chat_template() {
            return Err(
                Error::input("chat needs a chat template, and the tokenizer has none")
                    .with_advice("use generate, which continues any text"),
            );
        }
        let adapter = path.map(|path| loading::adapter(&loaded.model, &loaded.folder, path));
        let mut talk = Self {
            adapter: adapter.transpose()?,
            args,
            loaded,
            terminal,
            messages: vec![],
        };
        talk.restart();
        Ok(talk)
    }

    fn restart(&mut self) {
        let system = self.args.system_prompt.iter();
        self.messages = system.map(|text| message("system", text)).collect();
    }

    fn reset(&mut self) {
        self.restart();
        self.terminal.say("A new conversation");
    }

    /// Answers `text`. A conversation that has become too long for the model is told, and stays as it was.
    fn answer(&mut self, text: &str) -> Result<()> {
        self.messages.push(message("user", text));
        let prompt = self.prompt()?;
        let decoder = &self.loaded.model.decoder;
        if prompt.len() >= decoder.max_tokens() {
            self.messages.pop();
            self.terminal.say(format_args!(
                "The conversation has {} tokens with this message, and the model takes {}: r begins a new one",
                prompt.len(),
                decoder.max_tokens()
            ));
            return Ok(());
        }
        let mut said = String::new();
        let request = self.request(prompt)?;
        let generated = answer_of(
            &self.loaded,
            self.args.cache.form(),
            request,
            &[],
            |piece| {
                said.push_str(piece);
                self.terminal.print(piece)
            },
        )?;
        self.terminal.print("\n")?;
        self.tell(&generated);
        self.messages.push(message("assistant", &said));
        Ok(())
    }

    fn prompt(&self) -> Result<Vec<u32>> {
        let tokenizer = &self.loaded.tokenizer;
        let text = tokenizer.apply_chat_template(&self.messages, None, true)?;
        Ok(tokenizer.encode_raw(&text)?)
    }

    fn request(&self, prompt: Vec<u32>) -> Result<Request> {
        let mut ends = self.loaded.model.eos_token_ids.clone();
        ends.extend(self.loaded.tokenizer.eos_token().map(|(_, id)| id));
        Ok(Request {
            prompt,
            max_tokens: self.args.max_tokens,
            eos_token_ids: ends,
            sampling: self.args.sampling.into(),
            spared: self.loaded.tokenizer.encode("\n")?,
            adapter: self.adapter.clone(),
            ..Request::default()
        })
    }

    /// Tells that an answer is not complete.
    fn tell(&self, generated: &Generated) {
        match generated.reason.limit() {
            None => {}
            Some(Limit::Model) => self
                .terminal
                .say("The answer ends at the model's limit, not where it is complete"),
            Some(_) => self
                .terminal
                .say("The answer ends at --max-tokens, not where it is complete"),
        }
    }
}
