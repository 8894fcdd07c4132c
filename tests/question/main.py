from typing import Annotated

from fastapi import Depends, FastAPI
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from tests.question.database import Animal, get_async_db_session

app = FastAPI()


@app.post("/add")
async def root(session: Annotated[AsyncSession, Depends(get_async_db_session)]) -> str | None:
    for name in ("Max", "Cody", "Robby"):
        session.add(Animal(name=name))
        try:
            await session.flush()
        except IntegrityError:
            await session.rollback()
            continue  # retry

        await session.commit()
        return name

    return None
