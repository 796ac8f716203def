//! Golden trajectories through the shipped plugins, as the host opens them: the saved state of a fresh learner
//! gets the tensors and values of the case, is loaded, and the scripted steps are fed. The reference and its
//! tolerances are described in `golden/README.md`; `PERDURA_GOLDEN` names another folder of the same layout.

use crate::reader::{Golden, assert_parameters_within, assert_values};
use perdura::plugin::{inspect, open};
use perdura_sdk::StateWriter;
use perdura_tests::{Learner, Report, Samples, built, in_child};
use safetensors::SafeTensors;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What the cases of a method are called here.
struct Case {
    name: &'static str,
    method: &'static str,
    /// Shape of one input.
    input: &'static [usize],
    /// `mlp` or another of the networks that the methods know.
    backbone: &'static str,
    /// How far apart parameters may be.
    limit: f32,
    hyper: &'static [&'static str],
    scalars: &'static [&'static str],
    /// Draws, in the order of the method's requests, as they are called below the step.
    draws: &'static [&'static str],
    /// View, and its name below `expect/probe/`.
    views: &'static [(&'static str, &'static str)],
    /// An experience ends before the first step and another after the last.
    ends: bool,
}

const CLS_ER: Case = Case {
    name: "clser",
    method: "cls-er",
    input: &[784],
    backbone: "mlp",
    limit: 2e-6,
    hyper: &[
        "lr",
        "replay",
        "reg_weight",
        "r_plastic",
        "r_stable",
        "alpha_plastic",
        "alpha_stable",
    ],
    scalars: &["loss", "loss_ce", "loss_cons"],
    draws: &["replay/"],
    views: &[("working", "working"), ("plastic", "plastic"), ("stable", "stable")],
    ends: false,
};

const ER: Case = Case {
    name: "er",
    method: "er",
    input: &[784],
    backbone: "mlp",
    limit: 2e-6,
    hyper: &["lr", "replay"],
    scalars: &["loss"],
    draws: &["replay/"],
    views: &[("main", "logits")],
    ends: false,
};

const DERPP: Case = Case {
    name: "derpp",
    method: "derpp",
    hyper: &["lr", "alpha", "beta", "replay"],
    scalars: &["loss", "loss_ce", "loss_mse", "loss_ce_replay"],
    draws: &["replay_a/", "replay_b/"],
    ..ER
};

const RESNET18_ER: Case = Case {
    name: "resnet18_er",
    input: &[3, 32, 32],
    backbone: "resnet18",
    limit: 2e-5,
    hyper: &["lr", "replay", "width"],
    ..ER
};

const EWC_ONLINE: Case = Case {
    name: "ewc_on",
    method: "ewc-online",
    hyper: &["lr", "e_lambda", "gamma"],
    scalars: &["loss", "loss_ce", "penalty"],
    draws: &[],
    ends: true,
    ..ER
};

const AGEM: Case =
    Case { name: "agem", method: "agem", scalars: &["loss", "loss_ref", "dot", "ref_sq"], ..ER };

/// A saved state: tensors with shapes, and the values of its metadata.
struct State {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    values: BTreeMap<String, Value>,
}

impl State {
    fn read(bytes: &[u8]) -> State {
        let file = SafeTensors::deserialize(bytes).expect("a saved state is safetensors");
        let word = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        let tensors = file.tensors().into_iter().map(|(name, view)| {
            let values = view.data().chunks_exact(4).map(word).collect();
            (name, (view.shape().to_vec(), values))
        });
        let (_, header) = SafeTensors::read_metadata(bytes).expect("it was read before");
        let metadata = header.metadata().clone().expect("a saved state has metadata");
        let values = serde_json::from_str(&metadata["perdura"]).expect("sorted JSON");
        State { tensors: tensors.collect(), values }
    }

    /// Puts the case's tensors in the place of those of the same name and shape.
    fn replace(&mut self, golden: &Golden) {
        let given = golden.under("init/");
        assert_eq!(given.len(), self.tensors.len(), "the case names all tensors");
        for (name, shape) in given {
            let tensor = self.tensors.get_mut(&name.replace('/', "."));
            let tensor = tensor.unwrap_or_else(|| panic!("the state has no tensor for `{name}`"));
            assert_eq!(tensor.0, shape, "{name}");
            tensor.1 = golden.floats(&format!("init/{name}"));
        }
        if let Some(steps) = self.values.get_mut("steps") {
            *steps = golden.hyper("steps_done_before");
        }
    }

    fn write(&self) -> Vec<u8> {
        let mut writer = StateWriter::new();
        for (name, (shape, values)) in &self.tensors {
            writer.tensor(name, shape, values).expect("shape and values fit");
        }
        for (key, value) in &self.values {
            writer.value(key, value).expect("plain JSON");
        }
        writer.into_bytes().expect("small names")
    }
}

/// The samples at a path, such as `step1/replay/`. Labels are zero where the case has none, because none are used.
fn samples(golden: &Golden, at: &str) -> Samples {
    let parts = golden.under(at);
    let shape_of = |part: &str| parts.iter().find(|(name, _)| name == part).map(|(_, shape)| shape);
    let rows = shape_of("x").expect("samples have inputs")[0];
    let labels = match shape_of("y") {
        Some(_) => golden.labels(&format!("{at}y")),
        None => vec![0; rows],
    };
    let column = |name: &str| (name.to_string(), golden.floats(&format!("{at}{name}")));
    let columns = if shape_of("logits").is_some() { vec![column("logits")] } else { vec![] };
    let inputs = golden.floats(&format!("{at}x"));
    Samples { inputs, labels, columns, ..Samples::default() }
}

impl Case {
    fn config(&self, golden: &Golden) -> Value {
        let entry = |key: &&str| (key.to_string(), golden.hyper(key));
        let backbone = ("backbone".to_string(), self.backbone.into());
        let entries = self.hyper.iter().map(entry).chain([backbone]);
        Value::Object(entries.collect::<Map<_, _>>())
    }

    fn follows_the_reference(&self, open: impl FnOnce(&Value) -> Learner) {
        let golden = Golden::read(self.name);
        let mut learner = open(&self.config(&golden));
        let mut state = State::read(&learner.save());
        state.replace(&golden);
        learner.load(&state.write());
        let end = |number: u32, learner: &mut Learner| {
            let at = format!("task_end{number}/");
            learner.end_experience(number, &samples(&golden, &at));
            let compared = self.compare(&golden, &at, learner);
            assert_eq!(compared, golden.under(&format!("expect/{at}")).len(), "{at}");
        };
        if self.ends {
            end(1, &mut learner);
        }
        for step in 1..=golden.steps() {
            self.step(&golden, step, &mut learner);
        }
        for (view, name) in self.views {
            let logits = learner.predict(view, &golden.floats("probe/x"));
            assert_values(view, &logits, &golden.floats(&format!("expect/probe/{name}")));
        }
        if self.ends {
            end(2, &mut learner);
        }
    }

    fn step(&self, golden: &Golden, step: u64, learner: &mut Learner) {
        let at = format!("step{step}/");
        let draw = |draw: &&str| samples(golden, &format!("{at}{draw}"));
        let draws: Vec<_> = self.draws.iter().map(draw).collect();
        let Report { scalars, columns } = learner.observe(&samples(golden, &at), &draws);
        for scalar in self.scalars {
            let name = format!("expect/step{step}/{scalar}");
            assert_values(&name, &[scalars[*scalar] as f32], &golden.floats(&name));
        }
        for (column, values) in columns {
            let name = format!("expect/step{step}/current_{column}");
            assert_values(&name, &values, &golden.floats(&name));
        }
        let exact = &golden.json["steps"][step as usize - 1];
        let chosen = exact["n_select_stable"].as_f64();
        assert_eq!(scalars.get("n_select_stable").copied(), chosen, "step {step}");
        let projected = exact["projected"].as_bool().map(|yes| f64::from(u8::from(yes)));
        assert_eq!(scalars.get("projected").copied(), projected, "step {step}");
        self.compare(golden, &at, learner);
    }

    /// The learner's state against the tensors below `expect/` that it has; their number.
    fn compare(&self, golden: &Golden, at: &str, learner: &mut Learner) -> usize {
        let found = State::read(&learner.save());
        let expected = format!("expect/{at}");
        let mut compared = 0;
        for (name, shape) in golden.under(&expected) {
            // Scalars and per-sample values are not parameters.
            let Some((shape_found, values)) = found.tensors.get(&name.replace('/', ".")) else {
                continue;
            };
            assert_eq!(*shape_found, shape, "{name}");
            let wanted = golden.floats(&format!("{expected}{name}"));
            let name = format!("{}: {expected}{name}", self.name);
            assert_parameters_within(self.limit, &name, values, &wanted);
            compared += 1;
        }
        compared
    }

    fn in_a_worker(&self) {
        let plugin = built().plugin(self.method);
        self.follows_the_reference(|config| Learner::in_worker(&plugin, config, self.input));
    }

    fn in_this_process(&self) {
        let found = inspect(&built().plugin(self.method)).expect("a good file");
        let root = open(&found).expect("it opens").root;
        self.follows_the_reference(|config| Learner::in_process(root, config, self.input));
    }
}

#[test]
fn er() {
    ER.in_a_worker();
}

#[test]
fn resnet18_er() {
    RESNET18_ER.in_a_worker();
}

#[test]
fn clser() {
    CLS_ER.in_a_worker();
}

#[test]
fn clser_mid() {
    Case { name: "clser_mid", ..CLS_ER }.in_a_worker();
}

#[test]
fn derpp() {
    DERPP.in_a_worker();
}

#[test]
fn ewc_online() {
    EWC_ONLINE.in_a_worker();
}

#[test]
fn agem() {
    AGEM.in_a_worker();
}

#[test]
fn all_in_process() {
    in_child("golden::all_in_process", || {
        ER.in_this_process();
        RESNET18_ER.in_this_process();
        DERPP.in_this_process();
        EWC_ONLINE.in_this_process();
        AGEM.in_this_process();
        CLS_ER.in_this_process();
        Case { name: "clser_mid", ..CLS_ER }.in_this_process();
    });
}
