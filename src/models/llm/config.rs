//! The dimensions of the language model, as `config.json` gives them.

use crate::error::{Error, Result};
use serde::Deserialize;
use serde_json::Value;

/// `config.json` of a `Step1ForCausalLM`; the defaults are the published values, unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the gated layer.
    pub intermediate_size: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Groups of consecutive query heads that share one key and value head.
    pub num_attention_groups: Option<usize>,
    /// What some exports call [`Self::num_attention_groups`].
    pub num_key_value_heads: Option<usize>,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Added to the mean square in the norms.
    pub rms_norm_eps: f64,
    /// Ends a generation.
    pub eos_token_id: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hidden_size: 3072,
            intermediate_size: 8192,
            num_attention_heads: 48,
            num_attention_groups: None,
            num_key_value_heads: None,
            num_hidden_layers: 32,
            vocab_size: 74752,
            rms_norm_eps: 1e-5,
            eos_token_id: 3,
        }
    }
}

impl Config {
    /// The published number of key and value heads.
    const GROUPS: usize = 4;

    /// Reads and checks `config.json`.
    pub fn from_json(value: &Value) -> Result<Self> {
        let fail = |cause: &str| Error::model("cannot use the language model's `config.json`").cause(cause);
        let config = Self::deserialize(value).map_err(|error| fail(&error.to_string()))?;
        let (heads, groups) = (config.num_attention_heads, config.groups());
        let sizes =
            [config.hidden_size, config.intermediate_size, config.num_hidden_layers, config.vocab_size];
        if sizes.contains(&0) || heads == 0 || groups == 0 {
            return Err(fail("a dimension is zero"));
        }
        if config.hidden_size % heads != 0 || heads % groups != 0 {
            return Err(fail(&format!(
                "a width of {} cannot be split into {heads} heads in {groups} groups",
                config.hidden_size
            )));
        }
        Ok(config)
    }

    /// Key and value heads.
    pub fn groups(&self) -> usize {
        self.num_attention_groups.or(self.num_key_value_heads).unwrap_or(Self::GROUPS)
    }

    /// Query heads that share one key and value head.
    pub fn heads_per_group(&self) -> usize {
        self.num_attention_heads / self.groups()
    }

    /// Width of one head.
    pub fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_groups_under_either_name() {
        let groups = |value: Value| Config::from_json(&value).unwrap().groups();
        assert_eq!(groups(json!({})), 4);
        assert_eq!(groups(json!({"num_key_value_heads": 8, "use_cache": true})), 8);
        assert_eq!(groups(json!({"num_key_value_heads": 8, "num_attention_groups": 12})), 12);
    }

    #[test]
    fn refuses_what_cannot_be_split() {
        for bad in [
            json!({"num_attention_heads": 7}),
            json!({"num_attention_groups": 5}),
            json!({"num_attention_groups": 0}),
            json!({"hidden_size": 0}),
            json!({"hidden_size": "wide"}),
        ] {
            assert_eq!(Config::from_json(&bad).unwrap_err().kind, crate::error::Kind::Model);
        }
    }
}
