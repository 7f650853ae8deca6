"""FastAPI behind Mangum."""

from fastapi import FastAPI, Response
from mangum import Mangum
from pydantic import BaseModel

app = FastAPI()


class Order(BaseModel):
    amount: int


@app.post("/orders/{number}", status_code=201)
def order(number: int, order: Order, q: str, response: Response):
    response.headers["x-kept"] = "yes"
    return {"id": number, "q": q, "amount": order.amount}


handler = Mangum(app, lifespan="off")
