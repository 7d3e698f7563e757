use std::time::{Duration, Instant};

/// Clock of one text: the pass over the prompt, and every token after the first.
pub struct Clock {
    began: Instant,
    first: Option<Duration>,
    last: Duration,
    n_tokens: usize,
}

impl Clock {
    /// A clock that begins now.
    pub fn start() -> Self {
        Self {
            began: Instant::now(),
            first: None,
            last: Duration::ZERO,
            n_tokens: 0,
        }
    }

    /// Counts a token.
    pub fn token(&mut self) {
        self.last = self.began.elapsed();
        self.first.get_or_insert(self.last);
        self.n_tokens += 1;
    }

    /// Prompt tokens per second; 0 where no token came.
    pub fn prompt_tps(&self, n_prompt: usize) -> f64 {
        per_second(n_prompt, self.first.unwrap_or_default())
    }

    /// Generated tokens per second, without the first, which the prompt's pass gives.
    pub fn generation_tps(&self) -> f64 {
        let decoding = self.last.saturating_sub(self.first.unwrap_or_default());
        per_second(self.n_tokens.saturating_sub(1), decoding)
    }
}

fn per_second(n: usize, time: Duration) -> f64 {
    match time.is_zero() {
        true => 0.0,
        false => n as f64 / time.as_secs_f64(),
    }
}
