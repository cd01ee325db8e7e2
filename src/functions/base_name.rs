//! `base_name(path)`: the last part of a Windows or Unix path. It must not know any column.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, StringViewArray, StringViewBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::ScalarUDF;

use super::documentation::Entry;
use super::text_function::{self, Kind};

static KIND: Kind = Kind {
    name: "base_name",
    argument: "path",
    syntax: "base_name(path)",
    return_type: || DataType::Utf8View,
    partial: false,
    evaluate,
    documentation: LazyLock::new(|| {
        Entry {
            section: "Text",
            description: r"The text after the last \ or /, as Utf8View: the whole text when there is none, an empty text when it ends with one. NULL for NULL.",
            syntax: "base_name(path)",
            example: r"SELECT base_name('C:\Windows\System32\cmd.exe');  -- cmd.exe",
            arguments: &[("path", "A path of Windows or Unix.")],
        }
        .build()
    }),
};

fn evaluate(paths: &StringViewArray) -> ArrayRef {
    let mut builder = StringViewBuilder::with_capacity(paths.len());
    for path in paths {
        builder.append_option(path.map(base_name));
    }
    Arc::new(builder.finish())
}

fn base_name(path: &str) -> &str {
    path.rsplit(['\\', '/']).next().unwrap_or(path)
}

/// The function: `Utf8View`, NULL for NULL.
pub(super) fn udf() -> ScalarUDF {
    text_function::udf(&KIND)
}

#[cfg(test)]
mod tests {
    use super::base_name;

    #[test]
    fn after_the_last_separator() {
        assert_eq!(base_name(r"C:\Windows\cmd.exe"), "cmd.exe");
        assert_eq!(base_name("/usr/bin/sh"), "sh");
        assert_eq!(base_name(r"C:/mixed\a/b"), "b");
        assert_eq!(base_name(r"C:\Users\"), "");
        assert_eq!(base_name("plain"), "plain");
        assert_eq!(base_name(""), "");
        assert_eq!(base_name(r"C:\Пример\файл.exe"), "файл.exe");
    }
}
