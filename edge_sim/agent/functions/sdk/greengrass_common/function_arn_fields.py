"""A function's ARN taken apart: ``arn:aws:lambda:<region>:<account>:function:<name>[:<qualifier>]``."""

import re

_ARN = re.compile(r"arn:aws[a-z-]*:lambda:([a-z0-9-]*):(\d*):function:([A-Za-z0-9_-]+)(?::([A-Za-z0-9_$-]+))?")


class FunctionArnFields:
    """The parts of ``arn``; ``qualifier`` is "" when there is none. Raises ValueError for anything else."""

    def __init__(self, arn: str) -> None:
        match = _ARN.fullmatch(arn)
        if match is None:
            raise ValueError(f"{arn!r} is not the ARN of a Lambda function")
        self.region, self.account_id, self.name = match.group(1), match.group(2), match.group(3)
        self.qualifier = match.group(4) or ""
        self.unqualified_arn = arn[: -len(self.qualifier) - 1] if self.qualifier else arn

    @staticmethod
    def build_function_arn(unqualified_arn: str, qualifier: str) -> str:
        """Put an ARN together again; V1 has this since 1.9, and the SDK asks for it."""
        return f"{unqualified_arn}:{qualifier}" if qualifier else unqualified_arn
