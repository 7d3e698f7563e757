//! Parts of an answer that stand between marks: reasoning and calls of tools.

use crate::request::Marks;

const THINK: &str = "<think>";
const THINK_END: &str = "</think>";
const CALL: &str = "<tool_call>";
const CALL_END: &str = "</tool_call>";

/// Part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text of the answer itself.
    Content(String),
    /// Text between `<think>` and `</think>`.
    Reasoning(String),
    /// Text between `<tool_call>` and `</tool_call>`, as a whole.
    Call(String),
    /// Text behind `<tool_call>`, whose end did not come.
    Begun(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    Content,
    Reasoning,
    Call,
}

/// Parts of a text that comes in pieces; what may be the beginning of a mark is held back.
#[derive(Debug)]
pub struct Parts {
    marks: Marks,
    within: Within,
    held: String,
}

impl Parts {
    /// An answer of which nothing has come.
    pub fn new(marks: Marks) -> Self {
        Self {
            within: match marks.begins_in_reasoning {
                true => Within::Reasoning,
                false => Within::Content,
            },
            held: String::new(),
            marks,
        }
    }

    /// Takes the next piece.
    pub fn push(&mut self, piece: &str) -> Vec<Part> {
        self.held.push_str(piece);
        let mut parts = vec![];
        while let Some((at, mark, next)) = self.first_mark() {
            let before = self.held[..at].to_string();
            self.held.drain(..at + mark.len());
            parts.extend(self.part(before));
            self.within = next;
        }
        // The whole of a call is given at its end.
        if self.within != Within::Call {
            let kept = self.n_kept();
            let shown = self.held.len() - kept;
            let shown = self.held.drain(..shown).collect();
            parts.extend(self.part(shown));
        }
        parts
    }

    /// Ends the answer; a call that has not ended is given as it is.
    pub fn finish(&mut self) -> Option<Part> {
        let rest = std::mem::take(&mut self.held);
        match self.within {
            Within::Call => Some(Part::Begun(rest)),
            _ => self.part(rest),
        }
    }

    fn part(&self, text: String) -> Option<Part> {
        match self.within {
            Within::Call => Some(Part::Call(text)),
            _ if text.is_empty() => None,
            Within::Content => Some(Part::Content(text)),
            Within::Reasoning => Some(Part::Reasoning(text)),
        }
    }

    /// Marks that end the part which the text is in, and what they lead to.
    fn ends(&self) -> Vec<(&'static str, Within)> {
        let marks = match self.within {
            Within::Content => [
                self.marks.reasoning.then_some((THINK, Within::Reasoning)),
                self.marks.calls.then_some((CALL, Within::Call)),
            ],
            Within::Reasoning => [Some((THINK_END, Within::Content)), None],
            Within::Call => [Some((CALL_END, Within::Content)), None],
        };
        marks.into_iter().flatten().collect()
    }

    fn first_mark(&self) -> Option<(usize, &'static str, Within)> {
        let found = self.ends().into_iter();
        let found = found.filter_map(|(mark, next)| Some((self.held.find(mark)?, mark, next)));
        found.min_by_key(|(at, ..)| *at)
    }

    /// Bytes at the end that may be the beginning of a mark.
    fn n_kept(&self) -> usize {
        let ends = self.ends();
        let lengths = ends.iter().flat_map(|(mark, _)| {
            let begins = (1..mark.len()).filter(|n| self.held.ends_with(&mark[..*n]));
            begins.max()
        });
        lengths.max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Marks = Marks {
        reasoning: true,
        begins_in_reasoning: false,
        calls: true,
    };

    /// Parts of `text`, cut into pieces of so many characters, neighbours of one kind joined.
    fn parts(marks: Marks, text: &str, n: usize) -> Vec<Part> {
        let chars: Vec<char> = text.chars().collect();
        let mut all = Parts::new(marks);
        let pieces = chars
            .chunks(n)
            .map(|piece| piece.iter().collect::<String>());
        let mut found: Vec<Part> = pieces.flat_map(|piece| all.push(&piece)).collect();
        found.extend(all.finish());
        found.into_iter().fold(vec![], |mut joined, part| {
            match (joined.last_mut(), part) {
                (Some(Part::Content(before)), Part::Content(text))
                | (Some(Part::Reasoning(before)), Part::Reasoning(text)) => before.push_str(&text),
                (_, part) => joined.push(part),
            }
            joined
        })
    }

    #[test]
    fn parts_do_not_depend_on_pieces() {
        let text = "<think>why < not</think>é <th <tool_call>{\"a\": \"<think>\"}</tool_call>\n<tool_call>x";
        let content = |text: &str| Part::Content(text.into());
        let expected = [
            Part::Reasoning("why < not".into()),
            content("é <th "),
            Part::Call("{\"a\": \"<think>\"}".into()),
            content("\n"),
            Part::Begun("x".into()),
        ];
        for n in 1..text.len() {
            assert_eq!(parts(ALL, text, n), expected, "{n}");
            assert_eq!(parts(Marks::default(), text, n), [content(text)]);
        }
    }

    #[test]
    fn a_prompt_may_have_begun_the_reasoning() {
        let marks = Marks {
            begins_in_reasoning: true,
            ..ALL
        };
        let expected = [
            Part::Reasoning("a".into()),
            Part::Content("b</think><".into()),
        ];
        assert_eq!(parts(marks, "a</think>b</think><", 1), expected);
    }
}
