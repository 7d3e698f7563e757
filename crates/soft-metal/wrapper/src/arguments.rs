//! The command line that cargo gives to rustc.

/// Everything after the path of rustc.
pub struct Arguments {
    pub words: Vec<String>,
}

impl Arguments {
    pub fn new(words: Vec<String>) -> Self {
        Self { words }
    }

    pub fn crate_name(&self) -> Option<String> {
        let i = self.words.iter().position(|w| w == "--crate-name")?;
        self.words.get(i + 1).cloned()
    }

    /// The source file, if what is compiled is a library in its usual place; build scripts are left alone.
    pub fn library(&self) -> Option<String> {
        self.words.iter().find(|w| w.ends_with("/src/lib.rs")).cloned()
    }

    pub fn replace(&mut self, old: &str, new: String) {
        for word in self.words.iter_mut().filter(|w| *w == old) {
            *word = new.clone();
        }
    }

    pub fn add_cfg(&mut self, cfg: String) {
        self.words.extend(["--cfg".into(), cfg]);
    }

    pub fn remove_cfg(&mut self, cfg: &str) {
        while let Some(i) = self.words.windows(2).position(|w| w[0] == "--cfg" && w[1] == cfg) {
            self.words.drain(i..i + 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Arguments;

    #[test]
    fn finds_and_changes_what_matters() {
        let line = "--crate-name objc2 /r/objc2/src/lib.rs --cfg a --cfg b --cfg a -C x";
        let mut a = Arguments::new(line.split(' ').map(String::from).collect());
        assert_eq!(a.crate_name().as_deref(), Some("objc2"));
        assert_eq!(a.library().as_deref(), Some("/r/objc2/src/lib.rs"));
        a.remove_cfg("a");
        a.add_cfg("c".into());
        a.replace("/r/objc2/src/lib.rs", "/s/src/lib.rs".into());
        assert_eq!(a.words.join(" "), "--crate-name objc2 /s/src/lib.rs --cfg b -C x --cfg c");
    }
}
