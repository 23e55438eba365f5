//! Columns of text as Docker aligns them: three spaces between columns, none of them narrower than ten,
//! no lines, no boxes.

use super::escape;

const GAP: usize = 3;
const NARROWEST: usize = 10;

/// Aligns rows of cells. A cell is as wide as a terminal shows it, and control characters in it are shown
/// ([`escape`]); no line ends in spaces, and rows may have different numbers of cells.
pub fn align(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<_>> =
        rows.iter().map(|row| row.iter().map(|cell| escape::one_line(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut widths = vec![NARROWEST; columns];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(escape::width(cell) + GAP);
        }
    }
    let mut text = String::new();
    for row in &rows {
        for (i, cell) in row.iter().enumerate() {
            text.push_str(cell);
            if i + 1 < row.len() {
                let missing = widths[i] - escape::width(cell);
                text.extend(std::iter::repeat_n(' ', missing));
            }
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}

/// Aligns lines whose cells are set apart by tabs. A cell cannot hold a line break: it becomes a space.
pub fn align_tabbed(lines: &[String]) -> String {
    let rows: Vec<Vec<String>> =
        lines.iter().map(|line| line.replace('\n', " ").split('\t').map(str::to_owned).collect()).collect();
    align(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_three_spaces_between_them_and_at_least_ten_characters() {
        let rows = [
            ["ID", "NAME", "SIZE"],
            ["1", "a-rather-long-name", "1B"],
            ["2", "ä", "20MB"],
            ["3", "漢字", "\u{1b}[2J"],
        ];
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(ToString::to_string).collect()).collect();
        assert_eq!(
            align(&rows),
            "ID        NAME                 SIZE\n\
             1         a-rather-long-name   1B\n\
             2         ä                    20MB\n\
             3         漢字                 \\u001b[2J\n"
        );
    }
}
