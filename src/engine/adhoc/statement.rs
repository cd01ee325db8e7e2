//! From a text that people type to statements: where each begins and ends, and what kind it is. Only what reads is
//! let through, and views that live as long as the session.
//!
//! Knows syntax; what a name means is the console's business.

use datafusion::sql::parser::{DFParserBuilder, ExplainStatement, Statement as Parsed};
use datafusion::sql::sqlparser::ast::{
    CreateView, Ident, ObjectName, ObjectNamePart, ObjectType, Query, SetExpr,
    Statement as SqlStatement, TableFactor,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{
    Location, Token, TokenWithSpan, Tokenizer, Whitespace,
};

use super::shape;
use crate::engine::source::SqlSource;
use crate::error::{Error, Result};

/// How deep brackets may nest. The stack of the threads that plan is sized for it.
const NESTING: usize = 200;

/// A text that is longer may nest too deep.
const LONG: usize = 2000;

/// One statement.
#[derive(Debug)]
pub enum Statement {
    /// Rows.
    Query(Box<Query>),
    /// How rows would be made.
    Explain(Box<ExplainStatement>, Box<Query>),
    /// The columns of something that stands after FROM, or of a query.
    Describe(Box<Query>),
    /// What is in the columns.
    Summarize(Box<Query>),
    /// The tables and views there are.
    ShowTables,
    /// A view for this session.
    CreateView {
        /// Its name.
        name: Ident,
        /// It may take the place of another.
        or_replace: bool,
        /// What it shows.
        query: Box<Query>,
    },
    /// A view of this session goes.
    DropView {
        /// Its name.
        name: Ident,
        /// It need not be there.
        if_exists: bool,
    },
}

/// The statements of a text. Each keeps its place: what stands before it is blank, so that places of errors are places in
/// the whole text.
pub fn split(source: &SqlSource) -> Vec<SqlSource> {
    let text = &source.text;
    let whole = || vec![source.clone()];
    // A text with an open quote is one statement: the parser says where the quote is.
    let Some(tokens) = tokens(text) else {
        return whole();
    };
    let ends: Vec<usize> = tokens
        .iter()
        .filter(|token| token.token == Token::SemiColon)
        .map(|token| offset(text, token.span.start))
        .collect();
    let mut pieces = Vec::new();
    let mut start = 0;
    for end in ends.into_iter().chain([text.len()]) {
        let inside = |token: &&TokenWithSpan| {
            let at = offset(text, token.span.start);
            start <= at && at < end && is_sql(&token.token)
        };
        if tokens.iter().any(|token| inside(&token)) {
            let blank = text[..start]
                .chars()
                .map(|c| if c == '\n' { '\n' } else { ' ' });
            pieces.push(SqlSource {
                path: source.path.clone(),
                text: blank.collect::<String>() + &text[start..end],
            });
        }
        start = (end + 1).min(text.len());
    }
    pieces
}

/// Whether a text is whole: it ends with `;`, no quote or comment is open, and brackets are closed or cannot be.
pub fn is_whole(text: &str) -> bool {
    let Some(tokens) = tokens(text) else {
        return false;
    };
    let last = tokens.iter().rev().find(|token| is_sql(&token.token));
    last.is_none_or(|last| last.token == Token::SemiColon)
}

fn tokens(text: &str) -> Option<Vec<TokenWithSpan>> {
    Tokenizer::new(&GenericDialect {}, text)
        .tokenize_with_location()
        .ok()
}

fn is_sql(token: &Token) -> bool {
    !matches!(
        token,
        Token::EOF
            | Token::Whitespace(
                Whitespace::Space
                    | Whitespace::Newline
                    | Whitespace::Tab
                    | Whitespace::SingleLineComment { .. }
                    | Whitespace::MultiLineComment(_)
            )
    )
}

/// The byte at a place of the text.
fn offset(text: &str, place: Location) -> usize {
    let line = usize::try_from(place.line.saturating_sub(1)).unwrap_or(0);
    let column = usize::try_from(place.column.saturating_sub(1)).unwrap_or(0);
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let inside = text[start..].char_indices().nth(column);
    inside.map_or(text.len(), |(at, _)| start + at)
}

/// Parses one statement.
///
/// # Errors
/// A configuration error at its place: it does not parse, would change something, or is too deep.
pub fn parse(source: &SqlSource) -> Result<Statement> {
    if let Some(tokens) = tokens(&source.text) {
        shape::check(&tokens, source)?;
        if let Some(statement) = own(&tokens, source)? {
            return Ok(statement);
        }
    }
    let parsed = DFParserBuilder::new(source.text.as_str())
        .with_dialect(&GenericDialect {})
        .with_recursion_limit(NESTING)
        .build()
        // All of them: of one alone the parser would not say that it left something over.
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| wrong(source, &error))?
        .into_iter()
        .next()
        .ok_or_else(|| Error::configuration("there is no statement").in_file(&source.path))?;
    let (parsed, explain) = match parsed {
        Parsed::Explain(explain) => (explain.statement.as_ref().clone(), Some(explain)),
        other => (other, None),
    };
    let Parsed::Statement(statement) = parsed else {
        return Err(refused(source));
    };
    match (*statement, explain) {
        (SqlStatement::Query(query), None) => Ok(Statement::Query(reading(query, source)?)),
        (SqlStatement::Query(query), Some(explain)) => Ok(Statement::Explain(
            Box::new(explain),
            reading(query, source)?,
        )),
        (SqlStatement::CreateView(view), None) => create_view(view, source),
        (
            SqlStatement::Drop {
                object_type: ObjectType::View,
                if_exists,
                names,
                ..
            },
            None,
        ) => match names.as_slice() {
            [name] => Ok(Statement::DropView {
                name: single(name, source)?,
                if_exists,
            }),
            _ => Err(source.error_about("DROP", "one view at a time")),
        },
        _ => Err(refused(source)),
    }
}

/// `DESCRIBE x`, `SUMMARIZE x` and `SHOW TABLES`, which are words of ours.
fn own(tokens: &[TokenWithSpan], source: &SqlSource) -> Result<Option<Statement>> {
    let mut words = tokens.iter().filter(|token| is_sql(&token.token));
    let Some(first) = words.next() else {
        return Ok(None);
    };
    let word = first.token.to_string().to_lowercase();
    if word == "show" {
        return match words
            .next()
            .map(|token| token.token.to_string().to_lowercase())
        {
            Some(what) if what == "tables" => Ok(Some(Statement::ShowTables)),
            _ => Err(source
                .error_at(first.span.start, "only SHOW TABLES is known")
                .hint("DESCRIBE x shows the columns of x")),
        };
    }
    if !["describe", "desc", "summarize", "summarise"].contains(&word.as_str()) {
        return Ok(None);
    }
    let Some(next) = words.next().filter(|next| next.token != Token::EOF) else {
        return Err(source
            .error_at(first.span.start, format!("{word} what?"))
            .hint(format!("{word} TABLE, or {word} SELECT ...")));
    };
    let start = offset(&source.text, first.span.start);
    let mut text = source.text.clone();
    text.replace_range(start..start + word.len(), &" ".repeat(word.len()));
    let blanked = SqlSource {
        path: source.path.clone(),
        text,
    };
    let is_query = matches!(&next.token, Token::LParen)
        || matches!(&next.token, Token::Word(word)
            if matches!(word.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES));
    let query = if is_query {
        match parse(&blanked)? {
            Statement::Query(query) => query,
            _ => return Err(refused(source)),
        }
    } else {
        all_of(&blanked)?
    };
    Ok(Some(if word.starts_with("desc") {
        Statement::Describe(query)
    } else {
        Statement::Summarize(query)
    }))
}

/// `SELECT * FROM` what a text names.
fn all_of(source: &SqlSource) -> Result<Box<Query>> {
    let failed = |error: datafusion::sql::sqlparser::parser::ParserError| {
        source.planning_error(&error.into())
    };
    let mut parser = Parser::new(&GenericDialect {})
        .try_with_sql(&source.text)
        .map_err(failed)?;
    let factor: TableFactor = parser.parse_table_factor().map_err(failed)?;
    let rest = parser.peek_token();
    if rest.token != Token::EOF && rest.token != Token::SemiColon {
        return Err(source.error_at(
            rest.span.start,
            format!("`{rest}` is not expected after a table"),
        ));
    }
    let mut query = super::parse_text("SELECT * FROM x")?;
    if let SetExpr::Select(select) = query.body.as_mut()
        && let Some(from) = select.from.first_mut()
    {
        from.relation = factor;
    }
    Ok(query)
}

fn create_view(view: CreateView, source: &SqlSource) -> Result<Statement> {
    if view.materialized || view.or_alter || !view.columns.is_empty() {
        return Err(source
            .error_about(
                "VIEW",
                "only plain views: CREATE [OR REPLACE] VIEW name AS SELECT ...",
            )
            .hint("name the columns in the SELECT"));
    }
    Ok(Statement::CreateView {
        name: single(&view.name, source)?,
        or_replace: view.or_replace,
        query: reading(view.query, source)?,
    })
}

fn single(name: &ObjectName, source: &SqlSource) -> Result<Ident> {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(ident)] => Ok(ident.clone()),
        _ => Err(source.error_about(
            &name.to_string(),
            format!("`{name}`: views of a session have plain names"),
        )),
    }
}

/// A query that only reads: `SELECT ... INTO` and data-changing bodies are none.
fn reading(query: Box<Query>, source: &SqlSource) -> Result<Box<Query>> {
    fn reads(body: &SetExpr) -> bool {
        match body {
            SetExpr::Select(select) => select.into.is_none(),
            SetExpr::Query(query) => reads(&query.body),
            SetExpr::SetOperation { left, right, .. } => reads(left) && reads(right),
            SetExpr::Values(_) | SetExpr::Table(_) => true,
            _ => false,
        }
    }
    let with = query.with.iter().flat_map(|with| &with.cte_tables);
    if reads(&query.body) && with.into_iter().all(|cte| reads(&cte.query.body)) {
        Ok(query)
    } else {
        Err(refused(source))
    }
}

/// What the parser says, and in plainer words what it means by its limit.
fn wrong(source: &SqlSource, error: &datafusion::error::DataFusionError) -> Error {
    if error.to_string().contains("RecursionLimitExceeded")
        || error.to_string().to_lowercase().contains("recursion limit")
    {
        return Error::configuration(format!("the query nests deeper than {NESTING} levels"))
            .in_file(&source.path)
            .hint("a list is shorter: x IN (...), or a chain of OR without brackets");
    }
    let error = source.planning_error(error);
    // The parser forgets its limit where it tries another reading.
    if error.hint_text().is_none() && source.text.len() > LONG {
        return error.hint(format!(
            "it may nest too deep: {NESTING} levels at most, and CASE takes several"
        ));
    }
    error
}

fn refused(source: &SqlSource) -> Error {
    let first = source.text.split_whitespace().next().unwrap_or_default();
    let first = first.trim_end_matches(';').to_uppercase();
    let hint = match first.as_str() {
        "COPY" | "EXPORT" => "`-o FILE` writes a result, as does `.output FILE` in the shell",
        "SET" | "RESET" | "PRAGMA" => "limits are options: --memory, --timeout, --max-rows",
        "CREATE" => {
            "a view is allowed: CREATE VIEW name AS SELECT ...; it lives as long as the session"
        }
        "USE" | "ATTACH" => "--lake FILE chooses the lake",
        _ => {
            "the lake is only read: SELECT, EXPLAIN, DESCRIBE, SUMMARIZE, SHOW TABLES, CREATE VIEW, DROP VIEW"
        }
    };
    source
        .error_about(&first, format!("{first} is not allowed here"))
        .hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> SqlSource {
        SqlSource {
            path: "query".into(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn statements_keep_their_places() {
        let pieces = split(&source(
            "SELECT ';' -- ;\n; /* ; */ SELECT é,\n 2;\n;\n-- end",
        ));
        let texts: Vec<_> = pieces.iter().map(|piece| piece.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "SELECT ';' -- ;\n",
                "               \n  /* ; */ SELECT é,\n 2"
            ]
        );
        assert_eq!(split(&source(" -- nothing\n ; ;")).len(), 0);
        assert_eq!(split(&source("SELECT 'open; SELECT 2")).len(), 1);
    }

    #[test]
    fn a_text_is_whole_at_its_semicolon() {
        for whole in ["SELECT 1;", "SELECT 1; -- x", "", "-- x", "SELECT ';' ;\n"] {
            assert!(is_whole(whole), "{whole}");
        }
        for open in [
            "SELECT 1",
            "SELECT ';",
            "SELECT 1; SELECT 2",
            "SELECT /* ; ",
        ] {
            assert!(!is_whole(open), "{open}");
        }
    }

    #[test]
    fn only_what_reads_is_let_through() {
        for text in [
            "SELECT 1",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "VALUES (1)",
            "EXPLAIN ANALYZE SELECT 1",
            "describe x",
            "SUMMARIZE 'a b.parquet'",
            "summarize SELECT 1",
            "SHOW TABLES",
            "CREATE OR REPLACE VIEW v AS SELECT 1",
            "DROP VIEW IF EXISTS v",
        ] {
            assert!(parse(&source(text)).is_ok(), "{text}");
        }
        for text in [
            "INSERT INTO x VALUES (1)",
            "UPDATE x SET a = 1",
            "DELETE FROM x",
            "COPY x TO 'y.csv'",
            "CREATE TABLE x (a INT)",
            "CREATE TABLE x AS SELECT 1",
            "CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION 'y'",
            "SELECT 1 INTO x",
            "SET datafusion.execution.batch_size = 1",
            "DROP TABLE x",
            "EXPLAIN INSERT INTO x VALUES (1)",
            "WITH a AS (INSERT INTO x VALUES (1)) SELECT 1",
            "PREPARE p AS SELECT 1",
            "TRUNCATE x",
            "SELECT 1 SELECT 2",
            "SELECT a, view, b FROM x",
        ] {
            let error = parse(&source(text)).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{text}");
        }
        let error = parse(&source("\n COPY x TO 'y.csv'")).unwrap_err();
        assert_eq!(error.message(), "COPY is not allowed here");
        assert_eq!(error.place().map(|place| place.line), Some(2));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_split_in_its_places(text in "[a-zé日;'\"\n\r\t/*-]{0,60}") {
            let whole: Vec<char> = text.chars().collect();
            for piece in split(&source(&text)) {
                for (at, character) in piece.text.chars().enumerate() {
                    proptest::prop_assert!(character == whole[at] || character == ' ' );
                }
                drop(parse(&piece));
            }
            is_whole(&text);
        }
    }
}
