//! {{id}} ({{lab}}, {{name}}). To be written: the method this template is named after.
#![deny(unsafe_code)]

/// The learner.
pub struct {{Type}};
