"""Password hashes: argon2id with the parameters OWASP names as its minimum, in threads of their own.

19 MiB, two passes, one lane: about 40 ms of one core and no more memory than two at once take. The event loop never
waits for it. A hash made with other parameters is still verified, and `outdated` says that it should be made anew.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

_THREADS = 2


class Passwords:
    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)
        self._threads = ThreadPoolExecutor(_THREADS, "argon2")
        # Verified when nobody has the e-mail, so that the answer takes as long as for somebody.
        self._nobody = self._hasher.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._hasher.hash, password)

    async def matches(self, password: str, hashed: str | None) -> bool:
        """Whether it is the password of this hash; no hash matches none, after as long a time."""
        right = await asyncio.get_running_loop().run_in_executor(
            self._threads, self._verify, hashed or self._nobody, password
        )
        return right and hashed is not None

    def outdated(self, hashed: str) -> bool:
        return self._hasher.check_needs_rehash(hashed)

    def _verify(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False
