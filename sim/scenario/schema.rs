//! The JSON Schema of the language, for completion and underlining in editors.
pub fn schema() -> serde_json::Value {
    serde_json::json!({})
}
