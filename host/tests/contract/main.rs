//! The contract between host and learners, as the known methods use it: for each method a toy learner
//! that asks for what the method asks for, run by the real trainer, and the rules it may rely on. No toy
//! learns anything; what is tested is what it is given and what becomes of its answers.

mod boundaries;
mod exemplars;
mod grants;
mod groups;
mod guards;
mod harness;
mod replay;
mod resume;
mod stages;
mod validation;
mod views;
mod wishes;
