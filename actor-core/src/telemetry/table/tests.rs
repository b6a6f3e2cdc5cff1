use super::*;

#[test]
fn figures_keep_to_three_digits() {
    let shorts: Vec<_> = [0.0, 7.0, 999.0, 999.6, 1000.0, 9994.0, 12_345.0, 999_499.0]
        .map(short)
        .into();
    assert_eq!(
        shorts,
        [
            "0", "7", "999", "1.00 k", "1.00 k", "9.99 k", "12.3 k", "999 k"
        ]
    );
    assert_eq!(short(999_999.0), "1.00 M");
    assert_eq!(short(5e16), "50000 T", "and no unit beyond");
    assert_eq!(
        [bytes(0), bytes(2048), bytes(3 << 20)],
        ["0 B", "2.00 KiB", "3.00 MiB"]
    );
}

#[test]
fn a_share_of_nothing_is_none() {
    assert_eq!(
        [share(0, 0), share(0, 5), share(1, 8), share(5, 5)],
        ["-", "0.0 %", "12.5 %", "100.0 %"]
    );
}

struct Print(Grid);

impl Display for Print {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.draw(f)
    }
}

#[test]
fn columns_stand_under_their_heads() {
    let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
    let grid = Grid(vec![
        row(["", "turns/s", "x"]),
        row(["numa0", "1", "1.20 M"]),
        row(["numa10", "22", "3"]),
    ]);
    assert_eq!(
        Print(grid).to_string(),
        "        turns/s       x\nnuma0         1  1.20 M\nnuma10       22       3"
    );
}
