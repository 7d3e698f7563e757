//! A server in this process, of a tiny model with a tokenizer and a chat template.

use crate::client::{Reply, read, send};
use candle_core::{Device, Tensor};
use metal_candle::LanguageModel;
use metal_candle::data::{train_bpe, write_tokenizer};
use metal_candle::lora::{AdapterSet, LoraConfig};
use metal_candle::models::{Model, save_checkpoint};
use metal_candle_serve::{Catalogue, Server, Settings};
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use tempfile::TempDir;

/// Longest sequence in tokens.
pub const LIMIT: usize = 16384;
const SPECIAL: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
const TEMPLATE: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}\
                        {% if tools %}{{ tools | length }}{% endif %}{{ word }}\
                        {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// A model in a folder.
pub struct Fixture {
    folder: TempDir,
    pub model: LanguageModel,
}

impl Fixture {
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let texts = ["user assistant system hello there what is it one two three é".repeat(4)];
        let tokenizer = train_bpe(&texts, 320, &SPECIAL).unwrap();
        write_tokenizer(folder.path(), &tokenizer, "<|im_end|>", Some(TEMPLATE)).unwrap();
        let config = json!({
            "model_type": "qwen3", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "rms_norm_eps": 1e-6,
            "vocab_size": 320, "max_position_embeddings": LIMIT, "tie_word_embeddings": false,
            "hidden_act": "silu", "rope_theta": 10000.0, "initializer_range": 0.2,
        });
        let model = Model::random(config.clone(), 7, &Device::Cpu).unwrap();
        save_checkpoint(folder.path(), &config, model.decoder.tensors()).unwrap();
        let model = LanguageModel::load(folder.path(), &Device::Cpu).unwrap();
        Self { folder, model }
    }

    /// An adapter that changes the answers.
    pub fn adapter(&self, seed: u64) -> Arc<AdapterSet> {
        let adapted = self.model.adapt(LoraConfig::default(), seed).unwrap();
        for (name, var) in adapted.set.parameters() {
            let n = var.elem_count() as u64;
            let values = (0..n)
                .map(|i| ((i * 7919 + seed * 31 + name.len() as u64) % 13) as f32 / 13.0 - 0.5);
            let values: Vec<f32> = values.collect();
            var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap())
                .unwrap();
        }
        adapted.frozen(&self.model.model).unwrap()
    }

    pub fn catalogue(&self) -> Catalogue {
        Catalogue::new("tiny", self.tokenizer())
    }

    pub fn tokenizer(&self) -> Arc<metal_candle::data::Tokenizer> {
        let tokenizer = metal_candle::data::Tokenizer::from_folder(self.folder.path());
        Arc::new(tokenizer.unwrap())
    }

    pub fn start(self, settings: Settings) -> Served {
        let catalogue = self.catalogue();
        self.start_with(catalogue, settings)
    }

    pub fn start_with(self, catalogue: Catalogue, settings: Settings) -> Served {
        let server = Server::bind("127.0.0.1", 0).unwrap();
        let address = server.address().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let asked = stop.clone();
        let thread = std::thread::spawn(move || {
            let should_stop = || asked.load(Ordering::Relaxed);
            server
                .run(&self.model.model, catalogue, settings, should_stop)
                .unwrap();
        });
        Served {
            address,
            stop,
            thread: Some(thread),
        }
    }
}

/// A server that runs.
pub struct Served {
    pub address: SocketAddr,
    pub stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    pub fn get(&self, path: &str) -> Reply {
        read(send(self.address, "GET", path, "", ""))
    }

    pub fn send(&self, path: &str, body: &Value) -> TcpStream {
        send(self.address, "POST", path, "", &body.to_string())
    }

    pub fn post(&self, path: &str, body: &Value) -> Reply {
        read(self.send(path, body))
    }

    /// What must be answered.
    pub fn ok(&self, path: &str, body: &Value) -> Value {
        let reply = self.post(path, body);
        assert_eq!(reply.status, 200, "{body}\n{}", reply.body);
        reply.json()
    }

    /// Answer to a message, with further fields.
    pub fn chat(&self, message: &str, fields: Value) -> Value {
        self.ok(CHAT, &asked(message, fields))
    }

    /// Waits until the server has stopped.
    pub fn join(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.join();
        }
    }
}

pub const CHAT: &str = "/v1/chat/completions";
pub const COMPLETIONS: &str = "/v1/completions";

/// A request with one message, and further fields.
pub fn asked(message: &str, fields: Value) -> Value {
    let mut body = json!({"messages": [{"role": "user", "content": message}], "max_tokens": 12});
    let object = body.as_object_mut().unwrap();
    object.extend(fields.as_object().unwrap().clone());
    body
}

/// Text of the first answer of a chat.
pub fn content(reply: &Value) -> &str {
    reply["choices"][0]["message"]["content"].as_str().unwrap()
}
