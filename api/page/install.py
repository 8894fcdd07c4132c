"""Puts the page's routes on the app."""

from fastapi import FastAPI

from api.callers import for_everybody, for_people
from api.door import Door
from api.keyring import Keyring
from api.page import add_page, bulk_page, job_page, list_page, login_page, overview, retry_page
from api.page.rendering import STATIC, Pages, Static


def install(app: FastAPI, pages: Pages, door: Door, keyring: Keyring) -> None:
    overview.install(app, door, pages)
    list_page.install(app, door, pages)
    retry_page.install(app, door, pages)
    job_page.install(app, door, pages)
    bulk_page.install(app, door, pages)
    add_page.install(app, door, pages)
    login_page.install(app, keyring, pages)
    app.mount(STATIC, for_people(for_everybody(Static())), name="static")
