//! Values of the last release that stay where the new ones say nothing: Helm's `--reuse-values`.

use std::sync::Arc;

use helm::{
    chart::{
        Chart,
        values::{fill, floats},
    },
    release::Release,
};
use serde_json::{Map, Value};

/// Returns the values of an upgrade: the new ones over those of the last release.
pub fn values_over(current: &Release, mut values: Map<String, Value>) -> Map<String, Value> {
    fill(&mut values, current.config.clone().unwrap_or_default());
    values
}

/// Returns the chart of an upgrade: its defaults are what the last release was made of, so that defaults that are new in
/// the chart are not there.
pub fn chart_over(current: &Release, chart: &Chart) -> Result<Arc<Chart>, helm::release::Error> {
    let mut defaults = current.config.clone().unwrap_or_default();
    fill(&mut defaults, current.chart_values()?);
    let defaults = defaults.into_iter().map(|(key, value)| (key, floats(value))).collect();
    Ok(Arc::new(chart.with_values(defaults)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn new_values_win_and_null_takes_one_away() {
        let mut values = map(json!({"a": 1, "b": {"c": 2, "d": null}, "e": null, "f": "text"}));
        fill(&mut values, map(json!({"a": 9, "b": {"c": 9, "d": 9, "x": 9}, "e": {"y": 9}, "f": {"z": 9}, "g": 9})));
        assert_eq!(Value::from(values), json!({"a": 1, "b": {"c": 2, "x": 9}, "f": "text", "g": 9}));
    }
}
