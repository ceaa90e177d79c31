//! Finds a table's head: the row that names the columns. Titles may be above it, and empty columns on its left.

use anyhow::Result;

use super::cells::{Cell, Row, RowFault};
use super::column_names::{Column, named};

/// The number of rows, except empty ones, in which the head is searched.
const SEARCHED_ROWS: usize = 20;

/// The head of a table.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// Its row.
    pub row: u64,
    /// The column names as written.
    pub names: Vec<String>,
    /// The number of empty columns on the left.
    pub left: usize,
    /// The texts of the rows above, which are not read.
    pub above: Vec<String>,
    /// The places of columns that the spreadsheet does not show.
    pub hidden: Vec<usize>,
    /// The number of known names, except kinds of the catalog.
    pub known: usize,
}

/// Finds the first row that names the leaver's column and the column `deactivated`. Without one, takes the row with the most
/// known names, or the first row. Returns nothing if all rows are empty.
pub fn find(rows: impl Iterator<Item = Result<Row>>) -> Result<Option<Head>> {
    let mut searched = Vec::new();
    let rows = rows.filter(|row| !row.as_ref().is_ok_and(|row| row.fault == Some(RowFault::Hidden)));
    for row in rows.filter(|row| !row.as_ref().is_ok_and(Row::is_empty)).take(SEARCHED_ROWS) {
        let row = row?;
        searched.push((row.number, names(row)));
        if searched.last().is_some_and(|(_, names)| is_whole(names)) {
            break;
        }
    }
    let whole = searched.iter().position(|(_, names)| is_whole(names));
    let known = |place: &usize| (count_known(&searched[*place].1), std::cmp::Reverse(*place));
    let Some(place) = whole.or_else(|| (0..searched.len()).max_by_key(known)) else { return Ok(None) };
    let (row, names) = searched.swap_remove(place);
    let left = names.iter().take_while(|name| name.is_empty()).count();
    let above = searched.into_iter().filter(|(number, _)| *number < row).map(|(_, names)| text(&names));
    let known = count_known(&names);
    Ok(Some(Head { row, names: names[left..].to_vec(), left, above: above.collect(), hidden: Vec::new(), known }))
}

/// Returns the names of a row without empty ones at the end: a spreadsheet may have empty columns on the right.
fn names(row: Row) -> Vec<String> {
    let mut names: Vec<String> = row.cells.into_iter().map(Cell::unwrap_or_default).collect();
    names.truncate(names.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1));
    names
}

/// Returns true if the row has a name for the leaver and for the answer.
fn is_whole(names: &[String]) -> bool {
    let has = |column: Column| names.iter().any(|name| named(name) == Some(column.clone()));
    (has(Column::UserId) || has(Column::Email)) && has(Column::Deactivated)
}

fn count_known(names: &[String]) -> usize {
    names.iter().filter(|name| named(name).is_some()).count()
}

fn text(names: &[String]) -> String {
    const LONGEST: usize = 60;
    let text = names.iter().filter(|name| !name.is_empty()).cloned().collect::<Vec<_>>().join(" ");
    text.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row((number, text): (u64, &&str)) -> Result<Row> {
        Ok(Row { number, cells: text.split(',').map(|cell| Ok(cell.to_owned())).collect(), fault: None })
    }

    fn found(rows: &[&str]) -> Option<Head> {
        find((1..).zip(rows).map(row)).expect("rows")
    }

    #[test]
    fn head_is_below_titles() {
        let head = found(&["Leavers,Q4", ",", ",User ID,Deactivated,", "1,53,y"]).expect("a head");
        assert_eq!((head.row, head.left, head.known), (3, 1, 2));
        assert_eq!(
            (head.names, head.above),
            (vec!["User ID".to_owned(), "Deactivated".into()], vec!["Leavers Q4".into()])
        );
    }

    #[test]
    fn most_known_names_win_without_a_whole_head() {
        let row = |rows: &[&str]| found(rows).map(|head| (head.row, head.known));
        assert_eq!(row(&["User,x", "user_id,deactivate,successor", "53,y,11"]), Some((2, 2)));
        assert_eq!(row(&["a,b", "c,d"]), Some((1, 0)));
        assert_eq!(row(&[",", ""]), None);
    }

    #[test]
    fn head_is_searched_in_the_first_rows_only() {
        let rows = [vec!["x"; SEARCHED_ROWS], vec!["user_id,deactivated"]].concat();
        assert_eq!(found(&rows).map(|head| head.row), Some(1));
        assert_eq!(found(&rows[1..]).map(|head| head.row), Some(SEARCHED_ROWS as u64));
    }
}
