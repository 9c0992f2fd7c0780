"""The benchmark of exec, behind `scripts/bench/exec`: whole installations under load, their peers and their floors."""
