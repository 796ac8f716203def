//! What a run is called at a tracking server of MLflow. A process that goes on with the run tells the
//! server of it under this name.

use serde::{Deserialize, Serialize};

use super::folder::RunFolder;
use super::{RunError, files};

const FILE: &str = "mlflow.json";

/// `mlflow.json`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct MlflowRun {
    /// Address of the server.
    pub uri: String,
    pub run_id: String,
}

impl RunFolder {
    /// `None` for a run that no server was told of, and where the file cannot be read: then it gets
    /// another name.
    pub fn mlflow_run(&self) -> Option<MlflowRun> {
        let bytes = files::read(&self.path().join(FILE)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    pub fn set_mlflow_run(&self, run: &MlflowRun) -> Result<(), RunError> {
        files::write(&self.path().join(FILE), files::json_text(run).as_bytes())
    }
}
