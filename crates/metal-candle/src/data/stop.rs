//! Ending a text at a stop string, without printing any part of it.

/// Watches the pieces of a text for stop strings.
#[derive(Debug, Clone)]
pub struct StopStrings {
    stops: Vec<String>,
    /// Text that may be the beginning of a stop string.
    held: String,
}

/// What a piece of text led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Text that can be printed now.
    pub text: String,
    /// The stop string that was found; `text` ends before it, and so does everything.
    pub stop: Option<String>,
}

impl StopStrings {
    /// Watches for any of `stops`; empty strings, which would stop everything, are ignored.
    pub fn new(stops: impl IntoIterator<Item = String>) -> Self {
        let stops = stops.into_iter().filter(|stop| !stop.is_empty()).collect();
        Self {
            stops,
            held: String::new(),
        }
    }

    /// Takes the next piece of text.
    pub fn push(&mut self, piece: &str) -> Checked {
        self.held.push_str(piece);
        if let Some((at, stop)) = self.first_stop() {
            let text = self.held[..at].to_owned();
            let stop = Some(stop.to_owned());
            self.held.clear();
            return Checked { text, stop };
        }
        let kept = self
            .held
            .split_off(self.held.len() - self.possible_beginning());
        Checked {
            text: std::mem::replace(&mut self.held, kept),
            stop: None,
        }
    }

    /// Ends the text: gives what was held back.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// The stop string that begins first, and where; of those that begin at the same place the
    /// first one given.
    fn first_stop(&self) -> Option<(usize, &str)> {
        let found = self
            .stops
            .iter()
            .filter_map(|stop| Some((self.held.find(stop)?, stop.as_str())));
        found.min_by_key(|&(at, _)| at)
    }

    /// Bytes at the end of the held text that a stop string begins with.
    fn possible_beginning(&self) -> usize {
        let longest = |stop: &String| {
            let cuts = stop.char_indices().map(|(at, _)| at).rev();
            cuts.into_iter()
                .find(|&at| self.held.ends_with(&stop[..at]))
                .unwrap_or(0)
        };
        self.stops.iter().map(longest).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_stop_string_across_pieces_is_never_printed() {
        let mut stops = StopStrings::new(["</s>".to_owned(), "\n\n".to_owned()]);
        assert_eq!(
            stops.push("a <"),
            Checked {
                text: "a ".into(),
                stop: None
            }
        );
        assert_eq!(
            stops.push("b </"),
            Checked {
                text: "<b ".into(),
                stop: None
            }
        );
        assert_eq!(
            stops.push("s> rest"),
            Checked {
                text: String::new(),
                stop: Some("</s>".into())
            }
        );
    }

    #[test]
    fn what_was_held_comes_at_the_end() {
        let mut stops = StopStrings::new(["abc".to_owned(), String::new()]);
        assert_eq!(stops.push("xab").text, "x");
        assert_eq!(stops.finish(), "ab");
        assert_eq!(stops.finish(), "");
    }

    proptest! {
        #[test]
        fn the_text_ends_before_the_first_stop(pieces in prop::collection::vec("[abé]{0,4}", 0..12), stops in prop::collection::vec("[abé]{1,4}", 0..3)) {
            let text = pieces.concat();
            let end = stops.iter().filter_map(|stop| text.find(stop.as_str())).min();
            let mut watch = StopStrings::new(stops.clone());
            let mut printed = String::new();
            let mut stopped = false;
            for piece in &pieces {
                let checked = watch.push(piece);
                printed += &checked.text;
                stopped = checked.stop.is_some();
                if stopped { break }
            }
            if !stopped { printed += &watch.finish(); }
            prop_assert_eq!(stopped, end.is_some());
            // A stop string may be complete before a longer one that began earlier; no text behind
            // either is printed.
            prop_assert!(text.starts_with(&printed));
            match end {
                None => prop_assert_eq!(printed, text),
                Some(end) => prop_assert!(printed.len() >= end && stops.iter().all(|stop| !printed.contains(stop.as_str()))),
            }
        }
    }
}
