"""One run of a service check, from the connection to the answer."""

import asyncio
from concurrent.futures import Executor
from importlib import import_module

from fastha.checks.recipes import Verdict
from fastha.model.plan import EXTRA, Service, ServiceCheck
from fastha.model.units import S
from fastha.system.dialogues import greetings, grpc, logins
from fastha.system.dialogues.dial import Answer, Failed, dial, of_error
from fastha.wire.greetings import Heard


async def hold(check: ServiceCheck, threads: Executor) -> Answer:
    """Run the check once, within its deadline. Whatever happens is an answer."""
    try:
        async with asyncio.timeout((check.deadline or 2 * check.connection.connect_timeout) / S):
            heard = await _dialogue(check, threads)
    except Failed as failed:
        return failed.answer
    except TimeoutError:
        return Answer(Verdict.TIMEOUT, "timed out")
    except (EOFError, asyncio.LimitOverrunError):
        return Answer(Verdict.NO_DATA, "no complete reply")
    except OSError as error:
        return of_error(error)
    except ImportError as error:
        return Answer(Verdict.LOCAL, f"not probed: needs the package {error.name}: {EXTRA}")
    except (RuntimeError, MemoryError) as error:  # no thread to be had, say
        return Answer(Verdict.LOCAL, f"not probed: {error or 'no memory'}")
    except ValueError as error:
        return Answer(Verdict.REPLY, f"another answer than required: {error}")
    if heard.good:
        return Answer(Verdict.SUCCESS, heard.text)
    return Answer(Verdict.STATUS, heard.text, status=heard.status)


async def _dialogue(check: ServiceCheck, threads: Executor) -> Heard:
    if check.library:
        import_module(check.library)  # an extra; what is not there is said before anybody is spoken to
    sock = await dial(check.connection)
    if check.service is Service.GRPC:
        return await grpc.call(check, sock)
    if check.logs_in:
        return await logins.log_in(check, sock, threads)
    return await greetings.greet(check, sock)
