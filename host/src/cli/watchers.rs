//! Everyone who watches the same runs: one who shows them to people, and others who pass on what they
//! hear. What those have to say is shown, too.

use crate::schedule::Watcher;
use crate::trainer::{Ended, Line};

pub struct Watchers {
    pub shown: Box<dyn Watcher>,
    pub further: Vec<Box<dyn Watcher>>,
}

impl Watchers {
    fn all(&mut self, mut tell: impl FnMut(&mut dyn Watcher)) {
        tell(self.shown.as_mut());
        self.further.iter_mut().for_each(|watcher| tell(watcher.as_mut()));
        let notes: Vec<String> = self.further.iter_mut().flat_map(|w| w.notes()).collect();
        notes.iter().for_each(|note| self.shown.note(note));
    }
}

impl Watcher for Watchers {
    fn started(&mut self, job: usize, name: &str) {
        self.all(|watcher| watcher.started(job, name));
    }

    fn line(&mut self, job: usize, line: &Line) {
        self.all(|watcher| watcher.line(job, line));
    }

    fn ended(&mut self, job: usize, ended: &Ended) {
        self.all(|watcher| watcher.ended(job, ended));
    }

    fn finished(&mut self) {
        self.all(|watcher| watcher.finished());
    }
}
