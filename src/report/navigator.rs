//! Layers for the ATT&CK Navigator, in its layer format 4.5: which techniques hunts are for, or which ones fired.
//!
//! <https://github.com/mitre-attack/attack-navigator/blob/master/layers/spec/v4.5/layerformat.md>

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::visible::neutral;
use crate::hunt::attack;

/// What a layer says of one technique.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scored {
    /// How many hunts, or alerts.
    pub score: u64,
    /// Which: a line each.
    pub names: Vec<String>,
}

/// A layer as JSON. Techniques are by id; a technique above one of its sub-techniques is opened.
pub fn layer(name: &str, description: &str, techniques: &BTreeMap<String, Scored>) -> Value {
    let most = techniques.values().map(|one| one.score).max().unwrap_or(0);
    let mut shown: Vec<Value> = techniques
        .iter()
        .map(|(id, scored)| {
            let comment: Vec<_> = scored.names.iter().map(|name| neutral(name)).collect();
            json!({
                "techniqueID": id,
                "score": scored.score,
                "comment": comment.join("\n"),
                "enabled": true,
                "showSubtechniques": has_parts(techniques, id),
            })
        })
        .collect();
    // A part is hidden below its technique, which may itself have nothing.
    let above = techniques.keys().filter_map(|id| id.split_once('.'));
    let mut above: Vec<&str> = above.map(|(technique, _)| technique).collect();
    above.dedup();
    for id in above.into_iter().filter(|id| !techniques.contains_key(*id)) {
        shown.push(json!({"techniqueID": id, "enabled": true, "showSubtechniques": true}));
    }
    let version = attack::version();
    json!({
        "name": name,
        "versions": {
            "attack": version.split('.').next().unwrap_or(version),
            "navigator": "5.1.0",
            "layer": "4.5",
        },
        "domain": "enterprise-attack",
        "description": description,
        "sorting": 3,
        "layout": {"layout": "side", "showID": true, "showName": true, "expandedSubtechniques": "annotated"},
        "hideDisabled": false,
        "techniques": shown,
        "gradient": {"colors": ["#fde4d3", "#c2410c"], "minValue": 0, "maxValue": most.max(1)},
        "legendItems": [],
        "metadata": [{"name": "lakehunt", "value": env!("CARGO_PKG_VERSION")}],
        "selectTechniquesAcrossTactics": true,
        "selectSubtechniquesWithParent": false,
    })
}

fn has_parts(techniques: &BTreeMap<String, Scored>, id: &str) -> bool {
    let prefix = format!("{id}.");
    techniques.keys().any(|other| other.starts_with(&prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the format requires, and of which type; unknown properties are refused.
    #[test]
    fn a_layer_has_what_the_format_requires() {
        let scored = |score: u64| Scored {
            score,
            names: vec!["wmi\u{1b}[2J".to_owned(), "other".to_owned()],
        };
        let techniques = [
            ("T1021.002".to_owned(), scored(1)),
            ("T1047".to_owned(), scored(3)),
        ]
        .into();
        let layer = layer("coverage", "hunts", &techniques);
        assert_eq!(layer["versions"]["layer"], "4.5");
        assert_eq!(layer["versions"]["attack"], "17");
        assert_eq!(layer["domain"], "enterprise-attack");
        assert_eq!(layer["gradient"]["maxValue"], 3);
        let ids: Vec<_> = layer["techniques"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["techniqueID"].as_str().unwrap())
            .collect();
        assert_eq!(ids, ["T1021.002", "T1047", "T1021"]);
        assert_eq!(layer["techniques"][0]["comment"], "wmi\\x1b[2J\nother");
        for one in layer["techniques"].as_array().unwrap() {
            for (key, value) in one.as_object().unwrap() {
                let fits = match key.as_str() {
                    "techniqueID" | "comment" => value.is_string(),
                    "score" => value.is_number(),
                    "enabled" | "showSubtechniques" => value.is_boolean(),
                    _ => false,
                };
                assert!(fits, "{key}: {value}");
            }
        }
        let empty = super::layer("x", "", &BTreeMap::new());
        let gradient = &empty["gradient"];
        assert!(
            gradient["maxValue"].as_u64() > gradient["minValue"].as_u64(),
            "the format wants it"
        );
    }
}
