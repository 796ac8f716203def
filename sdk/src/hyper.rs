//! `hyper_parameters!`: typed hyper-parameters whose names, defaults, docs and JSON Schema are one text.

/// Declares hyper-parameters: a struct with defaults, or a choice.
///
/// ```
/// perdura_sdk::hyper_parameters! {
///     /// Hyper-parameters of the method.
///     pub struct Config {
///         /// Step size.
///         pub lr: f64 = 0.03,
///         /// Who teaches.
///         pub teacher: Teacher = Teacher::default(),
///     }
/// }
/// perdura_sdk::hyper_parameters! {
///     /// Who teaches.
///     pub enum Teacher {
///         #[default]
///         PerSample,
///         PerBatch,
///     }
/// }
/// let config: Config = serde_json::from_str(r#"{"teacher": "per_batch"}"#).unwrap();
/// assert_eq!((config.lr, config.teacher), (0.03, Teacher::PerBatch));
/// assert!(serde_json::from_str::<Config>(r#"{"rate": 1}"#).is_err());
/// ```
#[macro_export]
macro_rules! hyper_parameters {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $( $(#[$field_meta:meta])* $field_vis:vis $field:ident : $ty:ty = $default:expr ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(
            Clone, Debug, PartialEq,
            $crate::serde::Serialize, $crate::serde::Deserialize, $crate::schemars::JsonSchema,
        )]
        #[serde(crate = "perdura_sdk::serde", default, deny_unknown_fields)]
        #[schemars(crate = "perdura_sdk::schemars")]
        $vis struct $name {
            $( $(#[$field_meta])* $field_vis $field: $ty, )*
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $( $field: $default, )* }
            }
        }
    };
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident { $($body:tt)* }
    ) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq,
            $crate::serde::Serialize, $crate::serde::Deserialize, $crate::schemars::JsonSchema,
        )]
        #[serde(crate = "perdura_sdk::serde", rename_all = "snake_case")]
        #[schemars(crate = "perdura_sdk::schemars")]
        $vis enum $name { $($body)* }
    };
}
