"""What a training stage reports of each epoch: JSON lines beside its weights, and MLflow if asked for.

``tracker = "mlflow"`` in the config sends the same numbers to MLflow as well, one run a stage, to wherever
``MLFLOW_TRACKING_URI`` says (``pip install '.[tracking]'``).
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any

from cough import errors
from training import distributed
from training.config import TrainingConfig


class Tracker:
    """Use it as a context; only the first process of a run reports.

    Raises
    ------
    MissingExtra : MLflow is asked for and not installed
    """

    def __init__(self, config: TrainingConfig, stage: str, log: Path | None) -> None:
        self._log = log if distributed.rank() == 0 else None
        self._stage = stage
        self._config = config
        self._mlflow: Any = None
        if config.tracker == "mlflow" and distributed.rank() == 0:
            try:
                import mlflow
            except ImportError as error:
                raise errors.MissingExtra(
                    "The tracker needs MLflow: pip install 'cough-screening[tracking]'."
                ) from error
            self._mlflow = mlflow

    @classmethod
    def check(cls, config: TrainingConfig) -> None:
        """Whether the tracker takes a run, before anything is trained.

        Raises
        ------
        MissingExtra : MLflow is asked for and not installed
        OutputUnwritable : it does not begin
        """
        mlflow = cls(config, "gate", None)._mlflow
        if mlflow is None:
            return
        try:
            mlflow.MlflowClient().search_experiments(max_results=1)
        except Exception as error:  # each kind of store fails in its own way
            where = mlflow.get_tracking_uri()
            raise errors.OutputUnwritable(
                f"MLflow cannot use {where}: {type(error).__name__}: {' '.join(str(error).split())[:200]}."
            ) from error

    def __enter__(self) -> Tracker:
        if self._mlflow is not None:
            self._mlflow.start_run(run_name=self._stage)
            section = getattr(self._config, self._stage).model_dump(mode="json")
            self._mlflow.log_params({"seed": self._config.seed, "licences": self._config.licences, **section})
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._mlflow is not None:
            self._mlflow.end_run("FINISHED" if kind is None else "FAILED")

    def epoch(self, epoch: int, **figures: float) -> None:
        """Figures of one epoch."""
        if self._log is not None:
            with open(self._log, "a") as file:
                file.write(json.dumps({"epoch": epoch, **figures}) + "\n")
        if self._mlflow is not None:
            self._mlflow.log_metrics(figures, step=epoch)
