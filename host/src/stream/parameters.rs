//! Parameters in the name of a benchmark: `name:key=value,key=value`. One text says everything, so
//! that the command line, a plan file, `plan.json` and a preset name a benchmark in the same way. A
//! value holds no comma.

use std::fmt::Display;
use std::str::FromStr;

use super::StreamError;

/// A benchmark's name, taken apart. Whoever uses a parameter takes it out; what is left in the end
/// is unknown.
pub(super) struct Parameters<'a> {
    whole: &'a str,
    base: &'a str,
    left: Vec<(&'a str, &'a str)>,
    taken: Vec<&'static str>,
}

impl<'a> Parameters<'a> {
    /// # Errors
    /// A parameter without a value, or one that is given twice.
    pub(super) fn of(whole: &'a str) -> Result<Self, StreamError> {
        let (base, texts) = whole.split_once(':').unwrap_or((whole, ""));
        let mut parameters = Parameters { whole, base, left: Vec::new(), taken: Vec::new() };
        for text in texts.split(',').filter(|text| !text.is_empty()) {
            let Some((key, value)) = text.split_once('=') else {
                return Err(
                    parameters.wrong(format!("`{text}` is no parameter; expected key=value"))
                );
            };
            if parameters.left.iter().any(|(other, _)| *other == key) {
                return Err(parameters.wrong(format!("`{key}` is given twice")));
            }
            parameters.left.push((key, value));
        }
        Ok(parameters)
    }

    /// The name without parameters.
    pub(super) fn base(&self) -> &'a str {
        self.base
    }

    /// The value of a parameter, if it is given.
    ///
    /// # Errors
    /// A value that cannot be read.
    pub(super) fn take<T: FromStr<Err: Display>>(
        &mut self,
        key: &'static str,
    ) -> Result<Option<T>, StreamError> {
        self.taken.push(key);
        let Some(place) = self.left.iter().position(|(left, _)| *left == key) else {
            return Ok(None);
        };
        let (_, value) = self.left.remove(place);
        match value.parse() {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(self.wrong(format!("{key}={value}: {error}"))),
        }
    }

    /// To be called when all known parameters are taken.
    ///
    /// # Errors
    /// A parameter is left.
    pub(super) fn finish(self) -> Result<(), StreamError> {
        match self.left.first() {
            None => Ok(()),
            Some((key, _)) if self.taken.is_empty() => {
                Err(self.wrong(format!("it has no parameters, found `{key}`")))
            }
            Some((key, _)) => {
                let known = self.taken.join(", ");
                Err(self.wrong(format!("unknown parameter `{key}`; it has: {known}")))
            }
        }
    }

    /// An error about this name.
    pub(super) fn wrong(&self, problem: impl Into<String>) -> StreamError {
        StreamError::Parameter { benchmark: self.whole.to_owned(), problem: problem.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<T>(result: Result<T, StreamError>) -> String {
        result.err().expect("refused").to_string()
    }

    #[test]
    fn parameters_are_taken_out_of_a_name() {
        let mut parameters = Parameters::of("split-x:path=a/b c,experiences=5").unwrap();
        assert_eq!(parameters.base(), "split-x");
        assert_eq!(parameters.take::<usize>("experiences").unwrap(), Some(5));
        assert_eq!(parameters.take::<usize>("size").unwrap(), None);
        assert_eq!(parameters.take::<String>("path").unwrap().unwrap(), "a/b c");
        parameters.finish().unwrap();
        assert_eq!(Parameters::of("split-x").unwrap().base(), "split-x");
        Parameters::of("split-x:").unwrap().finish().unwrap();
    }

    #[test]
    fn mistakes_are_named() {
        let of = |text| Parameters::of(text).map(|_| ());
        assert_eq!(
            message(of("x:experiences")),
            "benchmark `x:experiences`: `experiences` is no parameter; expected key=value"
        );
        assert!(message(of("x:a=1,b=2,a=3")).ends_with("`a` is given twice"));
        let mut parameters = Parameters::of("x:a=no,c=1").unwrap();
        let wrong = message(parameters.take::<u32>("a"));
        assert_eq!(wrong, "benchmark `x:a=no,c=1`: a=no: invalid digit found in string");
        parameters.take::<u32>("b").unwrap();
        assert!(message(parameters.finish()).ends_with("unknown parameter `c`; it has: a, b"));
        let none = message(Parameters::of("x:c=1").unwrap().finish());
        assert!(none.ends_with("it has no parameters, found `c`"), "{none}");
    }
}
